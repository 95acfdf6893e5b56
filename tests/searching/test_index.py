"""The index on disk: it finds what is nearest, is whole or absent, and says what the journal says, whatever was forgotten or broken off."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesso.client.results import Result, ResultImage
from gesso.errors import BlobMissing
from gesso.searching import Index, Picture, sync, synchronise

SIDE = 16


def unit(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows = np.random.default_rng(seed).standard_normal((count, SIDE)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def vector_of(sha256: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    return unit(1, int(sha256, 16) % 2**32)[0]


class Journal:
    """What a client sees of a daemon: pages of what was made, and an operation that embeds. The vectors follow from the hashes."""

    def __init__(self, page: int = 3) -> None:
        self.jobs: dict[str, list[str]] = {}
        self.gone: set[str] = set()
        self.embedded: list[int] = []
        self.forgotten: list[str] = []
        self.seen: dict[str, str] = {}
        self.broken_after = 10**6
        self._page = page

    def make(self, number: int, pictures: int = 1) -> str:
        job = f"{number:032x}"
        self.jobs[job] = [f"{number * 100 + place:064x}" for place in range(pictures)]
        return job

    def history(self, after: str = "", ids: bool = False) -> dict[str, Any]:
        known = sorted(self.jobs)
        if ids:
            left = [job for job in known if job > after]
            return {"total": len(known), "more": len(left) > self._page, "page": left[: self._page]}
        left = [job for job in known if job > after]
        page = [
            {
                "job": job,
                "mark": job,
                "operation": "generate",
                "prompt": f"picture {int(job, 16)}",
                "images": [
                    {"index": place, "role": "image", "media_type": "image/png", "ending": "png", "sha256": sha256}
                    for place, sha256 in enumerate(self.jobs[job])
                ],
                "vectors": self.vectors(job),
            }
            for job in left[: self._page]
        ]
        return {"total": len(known), "more": len(left) > self._page, "page": page}

    def vectors(self, job: str) -> dict[str, str] | None:
        """What the worker saw when the job was done, by the model that `seen` names."""
        if job not in self.seen:
            return None
        rows = np.stack([vector_of(sha256) for sha256 in self.jobs[job]]).astype(np.float16)
        return {"model": self.seen[job], "rows": base64.b64encode(rows.tobytes()).decode()}

    def submit(self, operation: str, params: dict[str, Any], **_: Any) -> Any:
        assert operation == "embed"
        wanted = [image["sha256"] for image in params["images"]]
        missing = [sha256 for sha256 in wanted if sha256 in self.gone]
        if missing:
            raise BlobMissing("gone", details={"missing": missing})
        if len(self.embedded) >= self.broken_after:
            raise KeyboardInterrupt
        self.embedded.append(len(wanted))
        rows = np.stack([vector_of(sha256) for sha256 in wanted])
        image = ResultImage("", "", 0, rows.shape[1], len(rows), 1, "float32", "vectors", 0, 0, None, None, rows.tobytes())
        result = Result("e", (image,), (), "fast", 0.0, {"digest": "m"}, {}, {})
        return type("Job", (), {"id": "e", "result": lambda _: result})()

    def forget(self, job: str) -> None:
        self.forgotten.append(job)


def up_to_date(journal: Any, folder: Path, model: str = "m") -> Index:
    return synchronise(journal, Index(folder), model, None, lambda _done, _known: None)


def found(index: Index, sha256: str, count: int = 1) -> list[str]:
    return [hit.picture.sha256 for hit in index.search(vector_of(sha256), count)]


def test_the_nearest_come_first_as_a_plain_product_says(tmp_path: Path) -> None:
    vectors = unit(500)
    pictures = [Picture(f"{i:032x}", i % 3, f"{i:064x}", "png", f"number {i}") for i in range(500)]
    index = Index(tmp_path).write("m", "mark", {each.job for each in pictures}, pictures, vectors.astype(np.float16))
    asked = unit(1, 7)[0]
    wanted = np.argsort(-(vectors.astype(np.float16).astype(np.float32) @ asked))[:20]
    hits = Index(tmp_path).search(asked, 20)
    assert [hit.picture for hit in hits] == [pictures[place] for place in wanted]
    assert [hit.score for hit in hits] == pytest.approx((vectors[wanted] @ asked).tolist(), abs=2e-3)
    assert len(index.search(asked, 1000)) == 500
    assert index.search(np.ones(3, np.float32), 5) == []
    assert Index(tmp_path / "none").search(asked, 5) == []


def test_it_follows_the_journal(tmp_path: Path) -> None:
    journal = Journal()
    for number in range(1, 11):
        journal.make(number, pictures=number % 3)
    index = up_to_date(journal, tmp_path)
    assert len(index) == sum(number % 3 for number in range(1, 11))
    assert found(index, journal.jobs[f"{7:032x}"][0]) == journal.jobs[f"{7:032x}"]
    assert journal.forgotten == ["e"] * len(journal.embedded)
    before = (tmp_path / "index.json").read_text()
    assert len(up_to_date(journal, tmp_path)) == len(index)
    assert (tmp_path / "index.json").read_text() == before, "nothing new, nothing written"
    journal.make(11)
    journal.embedded.clear()
    assert len(up_to_date(journal, tmp_path)) == len(index) + 1
    assert journal.embedded == [1]


def test_what_the_worker_has_seen_is_not_looked_at_again(tmp_path: Path) -> None:
    journal = Journal()
    for number in range(1, 7):
        journal.make(number, 2)
    journal.seen = {job: "m" if int(job, 16) % 2 else "another" for job in journal.jobs}
    index = up_to_date(journal, tmp_path)
    assert sum(journal.embedded) == 6, "those of the other model"
    assert len(index) == 12
    for pictures in journal.jobs.values():
        assert [found(index, sha256) for sha256 in pictures] == [[sha256] for sha256 in pictures]


def test_what_was_forgotten_leaves_the_files_too(tmp_path: Path) -> None:
    journal = Journal()
    for number in range(1, 9):
        journal.make(number)
    up_to_date(journal, tmp_path)
    (gone,) = journal.jobs.pop(f"{4:032x}")
    journal.make(9)
    index = up_to_date(journal, tmp_path)
    assert len(index) == 8
    assert gone not in found(index, gone, 8)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert gone.encode() not in kept
    assert "picture 4".encode("utf-32-le") not in kept
    assert vector_of(gone).astype(np.float16).tobytes() not in kept


def test_a_job_that_ended_out_of_order_is_found_by_the_count(tmp_path: Path) -> None:
    journal = Journal()
    for number in (1, 2, 5):
        journal.make(number)
    up_to_date(journal, tmp_path)
    late = journal.make(3)  # its mark lies before the last one that was looked at
    index = up_to_date(journal, tmp_path)
    assert found(index, journal.jobs[late][0]) == journal.jobs[late]
    assert len(index) == 4


def test_another_model_makes_all_vectors_anew(tmp_path: Path) -> None:
    journal = Journal()
    for number in range(1, 6):
        journal.make(number)
    up_to_date(journal, tmp_path)
    journal.embedded.clear()
    assert up_to_date(journal, tmp_path, "other").model == "other"
    assert sum(journal.embedded) == 5


def test_pictures_whose_files_are_gone_are_left_out(tmp_path: Path) -> None:
    journal = Journal()
    for number in range(1, 6):
        journal.make(number, 2)
    journal.gone = {journal.jobs[f"{2:032x}"][1], *journal.jobs[f"{5:032x}"]}
    index = up_to_date(journal, tmp_path)
    assert len(index) == 7
    assert not journal.gone & {picture.sha256 for picture in index.pictures()}


@pytest.mark.parametrize("broken_after", [0, 1, 2, 3])
def test_a_first_run_that_is_broken_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_after: int) -> None:
    monkeypatch.setattr(sync, "BATCH", 3)
    monkeypatch.setattr(sync, "SAVE_EVERY", 1)
    journal = Journal()
    for number in range(1, 7):
        journal.make(number, 2)
    journal.broken_after = broken_after
    with pytest.raises(KeyboardInterrupt):
        up_to_date(journal, tmp_path)
    journal.broken_after = 10**6
    index = up_to_date(journal, tmp_path)
    hashes = [picture.sha256 for picture in index.pictures()]
    assert sorted(hashes) == sorted(sha256 for pictures in journal.jobs.values() for sha256 in pictures)
    assert sum(journal.embedded) < 12 + 3 * 2 or broken_after == 0


@pytest.mark.parametrize("damage", ["no head", "torn head", "no vectors", "left over"])
def test_what_is_damaged_is_made_again(tmp_path: Path, damage: str) -> None:
    journal = Journal()
    for number in range(1, 6):
        journal.make(number)
    up_to_date(journal, tmp_path)
    head = tmp_path / "index.json"
    if damage == "no head":
        head.unlink()
    elif damage == "torn head":
        head.write_text(head.read_text()[:20])
    elif damage == "no vectors":
        next(tmp_path.glob("vectors-*")).unlink()
    else:
        (tmp_path / "vectors-77.npy").write_bytes(b"half")
        journal.make(6)
    index = up_to_date(journal, tmp_path)
    assert len(index) == len(journal.jobs)
    assert found(index, journal.jobs[f"{3:032x}"][0]) == journal.jobs[f"{3:032x}"]
    generation = json.loads(head.read_text())["generation"]
    assert {path.name for path in tmp_path.glob("*.npy")} == {f"{name}-{generation}.npy" for name in ("jobs", "entries", "vectors")}
