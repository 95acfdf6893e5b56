"""The models of a worker by name: their cards, read from files by the families that plugins registered, and the weights when asked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gesso.errors import GessoError, InvalidRequest, ModelError
from gesso.library import ModelList
from gesso.library.snapshot import INDEX, check_snapshot
from gesso.manifest import ModelEntry
from gesso.model import Frugal, Model, ModelCard, Thrift
from gesso.plugin import Registry
from gesso.statefiles import Stamp

_log = logging.getLogger(__name__)
Signature = tuple[tuple[str, int, int], ...]


class WorkerCatalogue:
    """Cards are read once and again when a file of the model has changed. Threads may share it. ``owned``: the owner's `models.json`.
    ``loaded`` is called with the card of each model that was loaded.
    """

    def __init__(self, registry: Registry, owned: Path | None = None) -> None:
        self._preferred = ""
        self._registry = registry
        self._list = None if owned is None else ModelList(owned)
        self._declared = registry.models
        self._stamp: Stamp | None = None
        self._cards: dict[str, tuple[Signature, ModelCard]] = {}
        self._lock = threading.Lock()
        self.loaded: Callable[[ModelCard], None] = lambda _: None

    def prefer(self, name: str) -> None:
        """Take this model where several can do a job; "" for the first."""
        self._preferred = name

    def use(self, registry: Registry) -> None:
        """Take another registry; cards of models whose files are the same stay."""
        with self._lock:
            self._registry, self._declared, self._stamp = registry, registry.models, None

    def card(self, name: str) -> ModelCard:
        """The card of a model by name; raises InvalidRequest for an unknown one, ModelError for one that cannot be read."""
        with self._lock:
            self._reread()
            entry = self._registry.model(name)
            if not entry.family:
                raise ModelError(
                    f"The model {entry.name!r} ({entry.layout or 'of a kind unknown to Gesso'}) is on the list, but no family runs it yet.",
                    field="model",
                    hint="Use another model, or a plugin that brings a family for it: `gesso models add --family NAME` names it.",
                )
            now = _signature(entry)
            held = self._cards.get(entry.name)
            if held is None or held[0] != now:
                if entry.path is not None and (entry.path / INDEX).is_file():
                    check_snapshot(entry.path)  # whatever the family looks at: no directory that carries code is used
                card = replace(self._registry.family(entry.family).inspect(entry), family=entry.family)
                held = self._cards[entry.name] = (now, card)
            return held[1]

    def default(self, capability: str | None) -> ModelCard:
        """The preferred model if it has the capability, else the first that can be read and has it."""
        if self._preferred:
            card = self._wanted()
            if capability is None or capability in card.capabilities:
                return card
        with self._lock:
            self._reread()
        for entry in self._registry.models:
            if capability is not None and capability not in entry.capabilities:
                continue
            try:
                card = self.card(entry.name)
            except GessoError as fault:
                _log.info("the model %s cannot be the default: %s", entry.name, fault)
                continue
            if capability is None or capability in card.capabilities:
                return card
        what = f" that can do {capability!r}" if capability else ""
        hint = "`gesso models list` shows what is there and what is missing; `gesso models add` takes in a checkpoint."
        raise InvalidRequest(f"There is no model{what}.", field="model", hint=hint)

    def _wanted(self) -> ModelCard:
        try:
            return self.card(self._preferred)
        except GessoError as fault:
            hint = "`gesso models list` shows the names; `gesso config set models.default NAME` changes the setting."
            raise ModelError(f"The setting models.default cannot be followed: {fault.message}", field="model", hint=hint) from fault

    def load(self, card: ModelCard, on: torch.device, thrift: Thrift) -> Model:
        """The weights, through the model's family; a family's crash becomes a ModelError."""
        family = self._registry.family(card.family)
        try:
            model = family.load_frugally(card, on, thrift) if isinstance(family, Frugal) else family.load(card, on)
        except (GessoError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as fault:
            _log.exception("the family %s could not load %s", card.family, card.name)
            raise ModelError(f"The model {card.name!r} could not be loaded: {type(fault).__name__}: {fault}") from fault
        self.loaded(card)
        return model

    def _reread(self) -> None:
        """Take the owner's list in again if it has changed."""
        if self._list is None:
            return
        stamp = self._list.stamp()
        if stamp != self._stamp:
            owned = self._list.read()
            self._stamp = stamp
            self._registry.models = (*self._declared, *(entry for entry in owned if entry.kind == "checkpoint" or entry.family))

    @property
    def entries(self) -> Sequence[ModelEntry]:
        """All models that were declared."""
        return self._registry.models


def _signature(entry: ModelEntry) -> Signature:
    """What changes when a model's files do."""
    if entry.path is None or not entry.path.exists():
        return ()
    files = sorted(entry.path.rglob("*")) if entry.path.is_dir() else [entry.path]
    return tuple((str(file), status.st_mtime_ns, status.st_size) for file in files if (status := file.stat()))
