"""Which models are on the device now, and which leave when another needs the room. It knows no job: models are pinned while a call runs.

absent --load--> resident --use--> pinned --use ends--> resident --evicted--> absent
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch

from gesso.errors import ModelError, OutOfMemory
from gesso.model import Model, ModelCard

_log = logging.getLogger(__name__)


class Ref(Protocol):
    """A model by name and content digest (`gesso.engine.ModelRef`)."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def digest(self) -> str:
        """Its content."""
        ...


class Catalogue(Protocol):
    """Where models come from: their cards, and the families that load them."""

    def card(self, name: str) -> ModelCard:
        """The card of a model by name; raises InvalidRequest or ModelError."""
        ...

    def load(self, card: ModelCard, on: torch.device) -> Model:
        """Read the weights."""
        ...


@dataclass
class _Resident:
    """A loaded model. ``cost``: seconds it took to load."""

    model: Model
    cost: float
    used: float
    pins: int = 0
    nbytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.nbytes = self.model.nbytes


class ModelPool:
    """The models of one device under one budget of bytes. Threads may share it.

    The least valuable model leaves first: the one that is cheapest to load again for each second that it has lain idle.
    """

    def __init__(
        self, catalogue: Catalogue, device: torch.device, *, budget: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.device = device
        self.budget = budget_of(device) if budget is None else budget
        self._catalogue = catalogue
        self._clock = clock
        self._resident: dict[str, _Resident] = {}
        self._lock = threading.RLock()

    @property
    def resident(self) -> dict[str, int]:
        """Bytes by the names of the models that are loaded."""
        with self._lock:
            return {held.model.card.name: held.nbytes for held in self._resident.values()}

    def card(self, ref: Ref) -> ModelCard:
        """The model's card; raises ModelError if the files are not those of ``ref`` any more."""
        card = self._catalogue.card(ref.name)
        if card.digest != ref.digest:
            raise ModelError(
                f"The files of the model {ref.name!r} have changed since the job was made.",
                hint="Submit the job again to make it with the model as it is now.",
                details={"model": ref.name, "asked": ref.digest, "found": card.digest},
            )
        return card

    @contextmanager
    def using(self, ref: Ref) -> Iterator[Model]:
        """The loaded model, pinned within the context; loads it if need be. OutOfMemory says what would have to leave."""
        with self._lock:
            held = self._resident.get(ref.digest) or self._load(ref)
            held.pins += 1
        try:
            yield held.model
        finally:
            with self._lock:
                held.pins -= 1
                held.used = self._clock()

    def make_room(self) -> int:
        """Drop every model that is not in use, and cached memory; returns the bytes of weights dropped."""
        with self._lock:
            freed = sum(self._drop(digest) for digest in [d for d, held in self._resident.items() if held.pins == 0])
        _free_caches(self.device)
        return freed

    def drop_idle(self, seconds: float) -> int:
        """Drop the models that were not used for so long; returns the bytes."""
        now = self._clock()
        with self._lock:
            idle = [d for d, held in self._resident.items() if held.pins == 0 and now - held.used >= seconds]
            freed = sum(self._drop(digest) for digest in idle)
        if idle:
            _free_caches(self.device)
        return freed

    def _load(self, ref: Ref) -> _Resident:
        card = self.card(ref)
        self._make_room_for(card, _size_on_disk(card))
        started = self._clock()
        try:
            model = self._catalogue.load(card, self.device)
        except (MemoryError, torch.OutOfMemoryError) as fault:
            if self.make_room() == 0:
                raise _too_large(card, self.budget) from fault
            model = self._catalogue.load(card, self.device)
        now = self._clock()
        held = self._resident[ref.digest] = _Resident(model, now - started, now, pins=1)
        try:
            self._make_room_for(card, 0)
        finally:
            held.pins -= 1
        _log.info("loaded %s, %.0f MiB, in %.1f s", card.name, held.nbytes / 2**20, held.cost)
        return held

    def _make_room_for(self, card: ModelCard, nbytes: int) -> None:
        """Evict until ``nbytes`` more fit, the least valuable first."""
        now = self._clock()
        while sum(held.nbytes for held in self._resident.values()) + nbytes > self.budget:
            free = {digest: held for digest, held in self._resident.items() if held.pins == 0}
            if not free:
                if not self._resident or nbytes == 0:
                    return  # a model larger than the budget may still run alone; the device itself has the last word
                raise _too_large(card, self.budget)
            self._drop(min(free, key=lambda digest: free[digest].cost / (now - free[digest].used + 1e-3)))
            _free_caches(self.device)

    def _drop(self, digest: str) -> int:
        held = self._resident.pop(digest)
        _log.info("dropped %s, %.0f MiB", held.model.card.name, held.nbytes / 2**20)
        return held.nbytes


def budget_of(device: torch.device) -> int:
    """Bytes that weights may take: 80 % of a GPU's memory that is free now; half of the machine's memory for the CPU."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * 0.8)
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 8 * 2**30


def _size_on_disk(card: ModelCard) -> int:
    if card.path is None:
        return 0
    files = [card.path] if card.path.is_file() else card.path.rglob("*.safetensors")
    return sum(file.stat().st_size for file in files)


def _free_caches(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _too_large(card: ModelCard, budget: int) -> OutOfMemory:
    return OutOfMemory(
        f"The model {card.name!r} does not fit into the {budget / 2**30:.1f} GiB that its device has for weights.",
        hint="Wait for the jobs that run now, use a smaller model, or give the worker more memory.",
        details={"model": card.name, "budget": budget},
    )
