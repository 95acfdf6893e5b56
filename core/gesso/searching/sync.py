"""Brings the index up to the journal: what was made since is embedded by a worker, what was forgotten leaves."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gesso.errors import BlobMissing
from gesso.searching.index import Index, Picture, Vectors

if TYPE_CHECKING:
    import numpy.typing as npt

    from gesso.client import Client

BATCH = 64
SAVE_EVERY = 32
"""Batches after which what was embedded is written down: a long first run that is broken off goes on from there."""
ROLES = ("image", "base_color")
Told = Callable[[int, int], None]
"""How many pictures are embedded, of how many that are known so far."""


@dataclass(frozen=True)
class Found:
    """What the worker made of pictures and texts: a row for each, and the model's digest."""

    rows: npt.NDArray[np.float32]
    model: str


def embed(client: Client, pictures: Sequence[Any] = (), texts: Sequence[str] = (), model: str | None = None) -> Found:
    """Vectors by a job that leaves no trace. A picture is a path, bytes or ``{"sha256": ...}``; raises what the job failed with."""
    params: dict[str, Any] = {"images": list(pictures), "texts": list(texts), **({"model": model} if model else {})}
    job = client.submit("embed", params, level="fast", priority="interactive", output="raw")
    result = job.result()
    client.forget(job.id)
    (image,) = result.images
    rows = np.frombuffer(image.read(), np.float32).reshape(image.height, image.width)
    return Found(rows, str(result.model["digest"]))


def synchronise(client: Client, index: Index, model: str, named: str | None, told: Told) -> Index:
    """The index as the journal has it. ``model``: the digest that its vectors must have, made by the model ``named``; others are thrown
    away. Call it as the only writer of the folder.
    """
    kept = _Kept(index if index.model == model else None, model)
    total = _new_pages(client, kept)
    if total != len(kept.jobs):
        _compare(client, kept)
    if not kept.changed and index.model == model:
        return index
    done = 0
    for number, batch in enumerate(_batches(kept.waiting), 1):
        kept.take(batch, _looked_at(client, batch, named))
        done += len(batch)
        told(done, len(kept.waiting))
        if number % SAVE_EVERY == 0:
            index = kept.begun(done).written(index, model)
    return kept.written(index, model)


class _Kept:
    """What the next generation will hold."""

    def __init__(self, index: Index | None, model: str) -> None:
        self.model = model
        self.mark = "" if index is None else index.mark
        self.jobs: set[str] = set() if index is None else {job.decode() for job in index.jobs.tolist()}
        self.waiting: list[Picture] = []
        self.changed = False
        self._pictures: list[Picture] = [] if index is None else index.pictures()
        self._vectors: list[Vectors] = [] if index is None or not len(index) else [np.asarray(index.vectors)]

    def meet(self, entry: dict[str, Any]) -> None:
        """A job that is done."""
        self.mark = str(entry["mark"])
        if entry["job"] in self.jobs:
            return
        self.jobs.add(entry["job"])
        self.changed = True
        shown = [place for place, image in enumerate(entry["images"]) if image["role"] in ROLES and entry["operation"] != "embed"]
        pictures = [
            Picture(entry["job"], int(image["index"]), str(image["sha256"]), str(image["ending"] or "png"), str(entry["prompt"]))
            for image in (entry["images"][place] for place in shown)
        ]
        seen = entry["vectors"]
        if seen is None or seen["model"] != self.model:
            self.waiting += pictures
        else:
            rows = np.frombuffer(base64.b64decode(seen["rows"]), "<f2").reshape(len(entry["images"]), -1)
            self.take(pictures, rows[shown])

    def drop(self, jobs: set[str]) -> None:
        """These are forgotten."""
        self.jobs -= jobs
        self.waiting = [picture for picture in self.waiting if picture.job not in jobs]
        stays = [place for place, picture in enumerate(self._pictures) if picture.job not in jobs]
        self._pictures, rows = [self._pictures[place] for place in stays], self.rows()[1]
        self._vectors = [rows[stays]]
        self.changed = True

    def begun(self, done: int) -> _Kept:
        """What can be written down when so many of those that wait are embedded: whole jobs only, and a mark before all of them."""
        part = _Kept(None, self.model)
        part.jobs, part._pictures, part._vectors = set(self.jobs), list(self._pictures), list(self._vectors)
        part.drop({picture.job for picture in self.waiting[done:]})
        return part

    def written(self, index: Index, model: str) -> Index:
        """The next generation, on disk."""
        return index.write(model, self.mark, self.jobs, *self.rows())

    def take(self, pictures: Sequence[Picture], rows: npt.NDArray[Any]) -> None:
        """Vectors of pictures; what could not be looked at is left out."""
        seen = np.flatnonzero(np.isfinite(rows).all(axis=1))
        if len(seen):
            self._pictures += [pictures[place] for place in seen.tolist()]
            self._vectors.append(rows[seen].astype(np.float16))

    def rows(self) -> tuple[list[Picture], Vectors]:
        """Pictures and their vectors."""
        return self._pictures, np.concatenate(self._vectors) if self._vectors else np.zeros((0, 1), np.float16)


def _new_pages(client: Client, kept: _Kept) -> int:
    """All that ended behind the mark; how many jobs are done in all."""
    while True:
        found = client.history(kept.mark)
        for entry in found["page"]:
            kept.meet(entry)
        if not found["more"]:
            return int(found["total"])


def _compare(client: Client, kept: _Kept) -> None:
    """Something was forgotten, or the clock went back: look at every id."""
    there: set[str] = set()
    after, more = "", True
    while more:
        found = client.history(after, ids=True)
        there.update(found["page"])
        after, more = found["page"][-1] if found["page"] else after, found["more"]
    gone = kept.jobs - there
    if gone:
        kept.drop(gone)
    if there - kept.jobs:
        kept.mark = ""
        _new_pages(client, kept)


def _batches(pictures: Sequence[Picture]) -> Iterator[Sequence[Picture]]:
    for start in range(0, len(pictures), BATCH):
        yield pictures[start : start + BATCH]


def _looked_at(client: Client, batch: Sequence[Picture], named: str | None) -> npt.NDArray[np.float32]:
    """A row for each picture; not a number for those whose files are gone."""
    there, gone = list(batch), set[str]()
    while there:
        try:
            found = embed(client, [{"sha256": picture.sha256} for picture in there], model=named)
        except BlobMissing as fault:
            missing = set((fault.details or {}).get("missing", ())) - gone
            if not missing:
                raise
            gone |= missing
            there = [picture for picture in there if picture.sha256 not in gone]
            continue
        rows = np.full((len(batch), found.rows.shape[1]), np.nan, np.float32)
        rows[[place for place, picture in enumerate(batch) if picture.sha256 not in gone]] = found.rows
        return rows
    return np.full((len(batch), 1), np.nan, np.float32)
