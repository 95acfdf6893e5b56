"""The index on disk: one vector for each picture, and what it stands for. It is a copy that may be thrown away: the journal and the blobs
make it again. A generation of files is written whole, then named in `index.json`; the next writer removes what a kill leaves behind.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso import statefiles

ENTRY = np.dtype([("job", "S32"), ("index", "<u2"), ("sha256", "S64"), ("ending", "S8"), ("prompt", "U80")])
VERSION = 1
Vectors = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Picture:
    """A picture of a job: its number, its blob, how files of its kind end, and the first letters of its prompt."""

    job: str
    index: int
    sha256: str
    ending: str = "png"
    prompt: str = ""


@dataclass(frozen=True)
class Hit:
    """A picture that was found, and how near it is: the cosine."""

    picture: Picture
    score: float


class Index:
    """One generation, as it is on disk. ``model``: the digest of the one whose vectors these are; ``mark``: the last job of the journal
    that was looked at; ``jobs``: the ids of all of them, those without a picture too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        head = self._head()
        self.model = str(head.get("model", ""))
        self.mark = str(head.get("mark", ""))
        self._generation = int(head.get("generation", 0))
        self.jobs: npt.NDArray[Any] = self._part("jobs", np.dtype("S32"))
        self._entries: npt.NDArray[Any] = self._part("entries", ENTRY)
        self._vectors: Vectors = self._part("vectors", np.dtype(np.float16))

    def __len__(self) -> int:
        return len(self._entries)

    def search(self, vector: npt.NDArray[np.float32], count: int) -> list[Hit]:
        """The nearest pictures, the nearest first; every vector is looked at."""
        from usearch.compiled import MetricKind
        from usearch.index import search

        if not len(self) or vector.shape[-1] != self._vectors.shape[1]:
            return []
        found = search(self._vectors, vector.astype(np.float16), min(count, len(self)), MetricKind.IP, exact=True, threads=1)
        order = sorted(zip(found.distances.tolist(), found.keys.tolist(), strict=True))
        return [Hit(self._picture(key), 1.0 - distance) for distance, key in order]

    def write(self, model: str, mark: str, jobs: Iterable[str], pictures: Sequence[Picture], vectors: Vectors) -> Index:
        """Put another generation in the place of this one; the answer is that."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        generation = self._generation + 1
        entries = np.array([(each.job, each.index, each.sha256, each.ending, each.prompt[:80]) for each in pictures], ENTRY)
        parts = {"jobs": np.array(sorted(jobs), "S32"), "entries": entries, "vectors": vectors.astype(np.float16)}
        for name, part in parts.items():
            with open(self._file(name, generation), "wb") as file:
                np.save(file, part, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        statefiles.write(self.folder / "index.json", {"version": VERSION, "generation": generation, "model": model, "mark": mark})
        for old in self.folder.glob("*.npy"):
            if not old.stem.endswith(f"-{generation}"):
                old.unlink(missing_ok=True)
        return Index(self.folder)

    def pictures(self) -> list[Picture]:
        """All of them, in the order of their vectors."""
        return [self._picture(place) for place in range(len(self))]

    @property
    def vectors(self) -> Vectors:
        """One row for each picture."""
        return self._vectors

    def _picture(self, place: int) -> Picture:
        job, index, sha256, ending, prompt = self._entries[place].tolist()
        return Picture(job.decode(), index, sha256.decode(), ending.decode(), prompt)

    def _head(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            head = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
            if (
                isinstance(head, dict)
                and head.get("version") == VERSION
                and all(self._file(name, int(head["generation"])).is_file() for name in ("jobs", "entries", "vectors"))
            ):
                return head
        return {}

    def _file(self, name: str, generation: int) -> Path:
        return self.folder / f"{name}-{generation}.npy"

    def _part(self, name: str, kind: np.dtype[Any]) -> npt.NDArray[Any]:
        if not self.model and not self.mark:
            return np.zeros((0, 1) if name == "vectors" else 0, kind)
        part: npt.NDArray[Any] = np.load(self._file(name, self._generation), mmap_mode="r", allow_pickle=False)
        return part
