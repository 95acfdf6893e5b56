"""The models of a worker by name: their cards, read from files by the families that plugins registered, and the weights when asked."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gesso.errors import GessoError, InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.model import Model, ModelCard
from gesso.plugin import Registry

_log = logging.getLogger(__name__)
Signature = tuple[tuple[str, int, int], ...]


class WorkerCatalogue:
    """Cards are read once and again when a file of the model has changed. Threads may share it. ``owned``: the owner's `models.json`;
    ``preferred``: the model taken where several can do a job, "" for the first. ``loaded`` is called with the
    card of each model that was loaded.
    """

    def __init__(self, registry: Registry, owned: Path | None = None, preferred: str = "") -> None:
        self._preferred = preferred
        self._registry = registry
        self._owned = owned
        self._declared = registry.models
        self._stamp: tuple[int, int] | None = None
        self._cards: dict[str, tuple[Signature, ModelCard]] = {}
        self._lock = threading.Lock()
        self.loaded: Callable[[ModelCard], None] = lambda _: None

    def use(self, registry: Registry) -> None:
        """Take another registry; cards of models whose files are the same stay."""
        with self._lock:
            self._registry, self._declared, self._stamp = registry, registry.models, None

    def card(self, name: str) -> ModelCard:
        """The card of a model by name; raises InvalidRequest for an unknown one, ModelError for one that cannot be read."""
        with self._lock:
            self._reread()
            entry = self._registry.model(name)
            now = _signature(entry)
            held = self._cards.get(entry.name)
            if held is None or held[0] != now:
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
        raise InvalidRequest(
            f"There is no model{what}.", field="model", hint="`gesso models list` shows what is there and what is missing."
        )

    def _wanted(self) -> ModelCard:
        try:
            return self.card(self._preferred)
        except GessoError as fault:
            hint = "`gesso models list` shows the names; `gesso config set models.default NAME` changes the setting."
            raise ModelError(f"The setting models.default cannot be followed: {fault.message}", field="model", hint=hint) from fault

    def load(self, card: ModelCard, on: torch.device) -> Model:
        """The weights, through the model's family; a family's crash becomes a ModelError."""
        try:
            model = self._registry.family(card.family).load(card, on)
        except (GessoError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as fault:
            _log.exception("the family %s could not load %s", card.family, card.name)
            raise ModelError(f"The model {card.name!r} could not be loaded: {type(fault).__name__}: {fault}") from fault
        self.loaded(card)
        return model

    def _reread(self) -> None:
        """Take the owner's list in again if it has changed."""
        if self._owned is None:
            return
        status = self._owned.stat() if self._owned.exists() else None
        stamp = None if status is None else (status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._stamp = stamp
            self._registry.models = (*self._declared, *(read_owned(self._owned) if stamp else ()))

    @property
    def entries(self) -> Sequence[ModelEntry]:
        """All models that were declared."""
        return self._registry.models


def read_owned(path: Path) -> tuple[ModelEntry, ...]:
    """The models that the owner added: a JSON list of objects with the fields of `ModelEntry`."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            ModelEntry(
                name=str(entry["name"]),
                family=str(entry["family"]),
                title=str(entry.get("title", entry["name"])),
                path=Path(entry["path"]) if entry.get("path") else None,
                capabilities=tuple(entry["capabilities"]),
                licence=str(entry.get("licence", "")),
                defaults=dict(entry.get("defaults", {})),
                limits=dict(entry.get("limits", {})),
            )
            for entry in entries
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise ModelError(f"The list of models {path} cannot be read: {type(fault).__name__}: {fault}.") from fault


def _signature(entry: ModelEntry) -> Signature:
    """What changes when a model's files do."""
    if entry.path is None or not entry.path.exists():
        return ()
    files = sorted(entry.path.rglob("*")) if entry.path.is_dir() else [entry.path]
    return tuple((str(file), status.st_mtime_ns, status.st_size) for file in files if (status := file.stat()))
