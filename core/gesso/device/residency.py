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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, cast

import torch

from gesso.errors import ModelError, OutOfMemory
from gesso.library import read_header, weight_files
from gesso.model import Model, ModelCard, Offload, Thrift

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

    def load(self, card: ModelCard, on: torch.device, thrift: Thrift) -> Model:
        """Read the weights and hold them so, ``thrift.offload`` being settled."""
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


@dataclass(frozen=True)
class Housekeeping:
    """``budget``: bytes that weights may take (0: `budget_of` the device). ``thrift``: how they are held (a workspace of 0:
    `workspace_of` the device).
    """

    budget: int = 0
    thrift: Thrift = field(default_factory=Thrift)


class ModelPool:
    """The models of one device under one budget of bytes. Threads may share it.

    The least valuable model leaves first: the one that is cheapest to load again for each second that it has lain idle.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        device: torch.device,
        house: Housekeeping = Housekeeping(),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device = device
        self.budget = house.budget or budget_of(device)
        self.thrift = replace(house.thrift, workspace=house.thrift.workspace or workspace_of(device))
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

    def unload(self, name: str) -> int:
        """Drop the model of that name, or with "" every one, unless it is in use; returns the bytes."""
        with self._lock:
            wanted = [d for d, held in self._resident.items() if held.pins == 0 and name in ("", held.model.card.name)]
            freed = sum(self._drop(digest) for digest in wanted)
        if wanted:
            _free_caches(self.device)
        return freed

    def check_fits(self, card: ModelCard) -> None:
        """OutOfMemory for a model whose weights alone are more than the budget, before anything is read."""
        with self._lock:
            if card.digest in self._resident:
                return
        self._fitting(card)

    def _fitting(self, card: ModelCard) -> tuple[int, Thrift]:
        """Bytes that the model takes on the device, and how it is held there: whole if it fits so, else its parts in turn."""
        whole, in_turns = self._sizes(card, int8=self.thrift.int8)
        allowed = [("never", whole), ("always", in_turns)]
        if self.thrift.offload != "auto":
            allowed = [way for way in allowed if way[0] == (self.thrift.offload if card.parts else "never")]
        for offload, needed in allowed:
            if needed <= self.budget:
                return needed, replace(self.thrift, offload=cast(Offload, offload))
        raise self._too_large(card, min(needed for _, needed in allowed))

    def _sizes(self, card: ModelCard, *, int8: bool) -> tuple[int, int]:
        """Bytes of the whole model, and of the largest of the parts that may take turns."""
        if not card.parts:
            whole = size_of_weights(card.path, self.device)
            return whole, whole
        sizes = [part.nbytes(_number(self.device), int8=int8) for part in card.parts.values()]
        return sum(sizes), max(sizes)

    def would_fit(self, path: Path | None) -> bool:
        """Whether the weights at a path are there, sound, and no more than the budget."""
        try:
            return path is None or (path.exists() and size_of_weights(path, self.device) <= self.budget)
        except ModelError:
            return False

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
        needed, thrift = self._fitting(card)
        self._make_room_for(card, needed)
        started = self._clock()
        try:
            model = self._catalogue.load(card, self.device, thrift)
        except (MemoryError, torch.OutOfMemoryError) as fault:
            if self.make_room() == 0:
                raise self._too_large(card, needed) from fault
            model = self._catalogue.load(card, self.device, thrift)
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
                    return  # it fits alone, and what is in use leaves when it is not
                raise _in_use(card, self.budget)
            self._drop(min(free, key=lambda digest: free[digest].cost / (now - free[digest].used + 1e-3)))
            _free_caches(self.device)

    def _too_large(self, card: ModelCard, needed: int) -> OutOfMemory:
        at_once = " at once" if card.parts and self.thrift.offload != "never" else ""
        ways = ["Choose a smaller model, or give weights more room: `gesso config set worker.memory SIZE`."]
        if card.parts and self.thrift.offload == "never" and self._sizes(card, int8=self.thrift.int8)[1] <= self.budget:
            ways.insert(0, "It fits a part at a time: `gesso config set worker.offload auto`.")
        if card.parts and not self.thrift.int8 and self._sizes(card, int8=True)[1] <= self.budget:
            ways.insert(0, "It fits in 8 bits: `gesso config set worker.quantise int8`.")
        return OutOfMemory(
            f"The model {card.name!r} needs {_gib(needed)} for its weights{at_once}, and its device has {_gib(self.budget)} for them.",
            field="model",
            hint=" ".join(ways),
            details={"model": card.name, "needed": needed, "budget": self.budget},
        )

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


def workspace_of(device: torch.device) -> int:
    """Bytes that one call may take beside weights: a fifth of a GPU's memory; a quarter of the machine's for the CPU. It is no matter of
    what is free now, because how an autoencoder runs changes the last bits of its pictures.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory // 5
    return budget_of(device) // 2


def _number(device: torch.device) -> int:
    """Bytes of a number."""
    return 2 if device.type == "cuda" else 4


def size_of_weights(path: Path | None, device: torch.device) -> int:
    """Bytes that a model's weights take on the device, from the headers of its files: half precision on a GPU, single elsewhere."""
    if path is None:
        return 0
    return sum(read_header(file).nbytes(_number(device)) for file in _files_of(path))


def _files_of(path: Path) -> list[Path]:
    """The weight files that are read: of several variants of a component, one."""
    if path.is_file():
        return [path]
    folders = sorted({file.parent for file in path.rglob("*.safetensors")})
    return [file for folder in folders for file in weight_files(folder)]


def _free_caches(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _gib(nbytes: int) -> str:
    return f"{nbytes / 2**30:.1f} GiB"


def _in_use(card: ModelCard, budget: int) -> OutOfMemory:
    return OutOfMemory(
        f"The model {card.name!r} does not fit beside those in use into the {_gib(budget)} that the device has for weights.",
        hint="Ask again when the jobs that run now have ended.",
        details={"model": card.name, "budget": budget},
    )
