"""What the owner sets of plugins, in a real worker: filters before and after generation, models loaded at the start."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.worker.front import Front

from gesso.link.messages import Finished, Heartbeat, Reload
from gesso.recipe import read_texts

STONE = {"prompt": "mossy grey cobblestone", "model": "procedural", "seed": 7, "width": 32, "height": 32}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="gesso-w-", dir="/tmp"))
    (made / "plugins").mkdir()
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def front(folder: Path) -> Iterator[Front]:
    (folder / "config.toml").write_text('[plugins.residency]\npreload = ["procedural"]\n')
    with Front(folder, "--config", str(folder / "config.toml"), "--plugins", str(folder / "plugins")) as front:
        front.ready()
        yield front


@pytest.fixture
def settings(front: Front, folder: Path) -> Callable[[str], None]:
    def write(text: str) -> None:
        (folder / "config.toml").write_text(text)
        front.send(Reload())

    return write


def test_an_idle_worker_loads_what_its_owner_names(front: Front) -> None:
    assert front.take(Heartbeat, lambda beat: "procedural" in (beat.info or {}).get("resident", ())).info


def test_a_blocked_word_refuses_the_request(front: Front, settings: Callable[[str], None]) -> None:
    settings('[plugins.filters]\nblocked_words = ["Cobblestone"]\n')
    refused = front.end(front.lease("generate", STONE))
    assert refused.error is not None
    assert (refused.state, refused.error["code"], refused.error["field"]) == ("failed", "refused", "prompt")
    assert front.run("generate", {**STONE, "prompt": "mossy cobblestones"}).state == "done", "whole words only"

    settings('[plugins.filters]\nblocked_words = ["cobblestone"]\nblocked_words_action = "flag"\n')
    flagged = front.run("generate", STONE)
    assert flagged.result is not None
    assert any("cobblestone" in warning for warning in flagged.result["warnings"])


def test_a_filter_with_impossible_settings_lets_nothing_through(front: Front, settings: Callable[[str], None]) -> None:
    settings('[plugins.filters]\nblocked_words = "cobblestone"\n')
    end = front.end(front.lease("generate", STONE))
    assert end.error is not None
    assert end.error["code"] == "plugin"
    assert "blocked_words = [texts]" in end.error["message"]


def test_private_files_carry_no_recipe_and_say_so_in_the_result(front: Front, settings: Callable[[str], None]) -> None:
    settings("")
    open_ = front.run("generate", STONE)
    settings("[plugins.filters]\nprivate = true\n")
    private = front.run("generate", STONE)
    assert entry(open_).get("filters") is None
    assert "gesso" in read_texts(open_.blobs[0])
    assert entry(private)["filters"] == {"private": {"action": "recipe left out"}}
    assert read_texts(private.blobs[0]) == {}


def test_a_broken_configuration_is_reported_and_costs_no_job(front: Front, settings: Callable[[str], None]) -> None:
    settings("[plugins\n")
    assert front.run("generate", STONE).state == "done"
    told = front.take(Heartbeat, lambda beat: any("config.toml" in fault for fault in (beat.info or {}).get("plugin_faults", ())))
    assert told.info is not None


def entry(end: Finished) -> dict[str, object]:
    assert end.result is not None
    found: dict[str, object] = end.result["images"][0]
    return found
