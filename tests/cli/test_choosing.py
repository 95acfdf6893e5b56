"""Best of N, reranking and upscaling as typed, with a real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.test_end_to_end import FIRST, Desk


@pytest.fixture
def desk(tmp_path: Path, home: Path) -> Iterator[Desk]:
    found = Desk(home, tmp_path)
    yield found
    found.run("stop")


def test_the_best_are_kept_ranked_and_enlarged(desk: Desk) -> None:
    told = desk.json(*FIRST, "--best-of", "4", "--keep", "2", "--score", "seam=0.5,sharpness=1", "-o", "best/")
    scores = [result["score"] for result in told["results"]]
    assert scores == sorted(scores, reverse=True)
    assert set(told["results"][0]["scores"]) == {"seam", "sharpness"}
    first, second = told["images"]
    done = desk.run("rerank", "stone", second, first, "--score", "sharpness=1,seam=0.5", "-o", "sheet.png")
    assert done.returncode == 0, done.stderr
    assert f"1. {first}: {scores[0]:.3f} (sharpness " in done.stderr
    assert f"2. {second}: " in done.stderr
    ranking = desk.json("rerank", "", first, second, "--score", "sharpness=1,seam=0.5", "-o", "one.png")
    assert [entry["image"] for entry in ranking["results"][0]["ranking"]] == [0, 1]
    assert desk.error("rerank", "stone")[1]["field"] == "images"
    (desk.folder / "tags.txt").write_text("mossy stone\n\nblue fabric\nred brick\n")
    told = desk.run("caption", first, "--vocabulary", "@tags.txt", "--vocabulary", "glass", "--limit", "4", "-o", "tags.png")
    assert told.returncode == 0, told.stderr
    assert all(f"  {words}\n" in told.stderr for words in ("mossy stone", "blue fabric", "red brick", "glass"))
    assert desk.error("caption", first, "--vocabulary", "@none.txt")[1]["field"] == "vocabulary"
    larger = desk.json("upscale", first, "--scale", "2", "--tile", "xy", "-o", "larger.png")
    assert (larger["results"][0]["width"], larger["results"][0]["height"]) == (128, 128)
    assert desk.json("upscale", "--image", first, "-o", "same.png")["results"][0]["sha256"]
