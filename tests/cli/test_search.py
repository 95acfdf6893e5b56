"""`gesso search` over a real history: by words, by a picture; it forgets what is forgotten and leaves no job behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.test_end_to_end import Desk

from gesso.wire.home import Home


@pytest.fixture
def desk(tmp_path: Path, home: Path) -> Iterator[Desk]:
    found = Desk(home, tmp_path)
    yield found
    found.run("stop")


def make(desk: Desk, prompt: str, *more: str) -> str:
    told = desk.json("generate", prompt, "--model", "procedural", "--size", "64", "--seed", "3", "-o", "made/", *more)
    return str(told["job"])


def test_the_history_is_found_by_words_and_by_pictures(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = {prompt: make(desk, prompt) for prompt in ("red brick", "green moss", "white marble")}
    many = make(desk, "blue fabric", "-n", "3")
    for prompt, job in jobs.items():
        best = desk.json("search", prompt, "--limit", "2")
        assert best["pictures"] == 6
        assert [best["found"][0][name] for name in ("job", "prompt")] == [job, prompt]
        assert best["found"][0]["score"] >= best["found"][1]["score"]
    like = desk.json("search", "--like", "made/red-brick-3-1.png", "--limit", "1", "-o", "found")
    assert like["found"][0]["score"] == pytest.approx(1.0, abs=2e-3)
    assert Path(like["found"][0]["path"]).name == "01-red-brick.png"
    assert (desk.folder / "found/01-red-brick.png").read_bytes() == (desk.folder / "made/red-brick-3-1.png").read_bytes()
    assert {hit["job"] for hit in desk.json("search", "blue", "fabric", "--limit", "3")["found"]} == {many}
    listed = desk.json("jobs", "list")
    assert {job["operation"] for job in listed["jobs"]} == {"generate"}, "searching leaves no job behind"

    assert desk.run("jobs", "forget", jobs["red brick"]).returncode == 0
    after = desk.json("search", "red brick", "--limit", "10")
    assert after["pictures"] == 5
    assert jobs["red brick"] not in {hit["job"] for hit in after["found"]}
    monkeypatch.setenv("GESSO_HOME", str(desk.home))
    shutil.rmtree(Home.find().state / "search")
    assert desk.json("search", "red brick", "--limit", "10")["found"] == after["found"], "the index can be thrown away"

    lines = desk.run("search", "green moss", "--limit", "1").stdout
    assert lines.split()[1:3] == [jobs["green moss"], "1"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [((), "words"), (("moss", "--like", "a.png"), "words"), (("--like", "none.png"), "like"), (("moss", "--limit", "0"), "limit")],
)
def test_what_cannot_be_searched_for_is_a_sentence(desk: Desk, arguments: tuple[str, ...], field: str) -> None:
    code, error = desk.error("search", *arguments)
    assert (code, error["field"]) == (2, field)


def test_an_empty_history_and_a_picture_that_is_too_small(desk: Desk) -> None:
    nothing = desk.run("search", "moss")
    assert nothing.returncode == 0
    assert "nothing has been made yet" in nothing.stderr
    assert json.loads(desk.run("search", "moss", "--json").stdout) == {"pictures": 0, "found": []}
    Image.new("RGB", (4, 4)).save(desk.folder / "small.png")
    code, error = desk.error("search", "--like", "small.png")
    assert (code, error["field"]) == (2, "like")
    assert "too small" in error["message"]
