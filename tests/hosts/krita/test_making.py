"""In a real Krita: from no daemon at all to the first picture, the other operations, and a job that outlives Krita."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso.client import Client

from .conftest import LIMIT

pytestmark = [pytest.mark.krita, pytest.mark.timeout(LIMIT)]


def test_from_no_daemon_to_pictures_of_every_kind(krita: Any, program: Path, home: Path, tmp_path: Path, keep_pictures: Any) -> None:
    """Fails without: the `start` of `Session.fix` (nothing would start), `slots.setdefault` in `orders._plain` (upscale would lack its
    picture), `node.setVisible(False)` in `Without._make` (the cover would be seen),
    `Memory.keep` (the result that outlived Krita would have lost its name and place), `self._painted(index)` in `Asking.paint` (earlier
    results would have no picture), `self._asked = set(self._found)` in
    `Thumbnails.keep_only` with `set()` in its place (each would be read again with every list), `"favourite": pinned`
    in `Controller.remembered` (what another program made a favourite would have no star)."""
    verdict = krita("making")
    keep_pictures(tmp_path)
    facts = verdict.check()
    check_first_run(facts)
    check_operations(facts["operations"])
    with Client(home=home, start=False) as client:
        check_messages(client, facts)
        client.attach(facts["left"]).result(120)
        client.pin(facts["operations"]["wrapped"])
    again = krita("again", "second")
    keep_pictures(tmp_path)
    check_next_start(again.check())
    with Client(home=home, start=False) as client:
        check_thumbnails(client, again.facts, again.folder, facts["left"])


def check_first_run(facts: dict[str, Any]) -> None:
    assert facts["stopped"].startswith("No daemon is running")
    assert facts["fix"] == [True, "Start Gesso"]
    assert len(facts["first_steps"]) == 3
    assert facts["first_steps"][0].startswith("\u25cb Gesso runs")
    assert (facts["documents_before"], facts["example"], facts["documents_after"]) == (0, True, 1)
    assert facts["steps_left"] is False


def check_operations(found: dict[str, Any]) -> None:
    assert found["generate"][:2] == [[44, 34, 32, 32], ["seed 4", "seed 3"]]
    assert found["texture"] == ["ambient occlusion", "base color", "height", "metallic", "normal", "roughness"]
    assert found["below"]
    assert found["earlier"] == ["red brick", "mossy grey cobblestone"]
    assert found["upscale"][:2] == [256, 192]
    assert "larger" in found["upscale"][3]


def check_messages(client: Client, facts: dict[str, Any]) -> None:
    """What the daemon received."""

    def sent(sha256: str) -> Any:
        return np.asarray(Image.open(io.BytesIO(client.download(sha256))))

    assert client.job(facts["operations"]["wrapped"])["params"]["tile"] == "xy"
    assert client.job(facts["operations"]["generate"][2])["params"]["tile"] == "none"
    assert sent(client.job(facts["operations"]["upscale"][2])["params"]["image"]["sha256"]).shape == (96, 128, 3)
    assert facts["told"] == "The model does not see: cover"
    assert (facts["cover_visible"], facts["action_state"]) == (True, "done")
    seen = sent(client.job(facts["excluded_job"])["params"]["image"]["sha256"])
    assert tuple(seen[2, 4]) == (6, 10, 12)


def check_next_start(facts: dict[str, Any]) -> None:
    assert any(text.startswith("left behind") for text in facts["listed"])
    assert [text.splitlines()[0] for text in facts["listed"] if text.startswith("\u2605")] == ["\u2605 wrapped moss"], "pinned by another"
    assert len(facts["before"]) == 1
    assert facts["group"] == "Gesso: left behind"
    assert facts["below"]
    assert facts["bounds"][0] <= 30
    assert facts["bounds"][0] + facts["bounds"][2] >= 60
    assert facts["prompt"] == "left behind"
    assert facts["steps_shown"] is False
    assert not any(text.startswith("left behind") for text in facts["after_discard"])


def check_thumbnails(client: Client, facts: dict[str, Any], folder: Path, left: str) -> None:
    """Each row has its own picture; those out of sight were not read before they were scrolled to, and none twice."""
    jobs = facts["jobs"]
    assert 0 < len(facts["at_first"]) < len(jobs)
    assert facts["at_first"] == jobs[: len(facts["at_first"])]
    assert (facts["threads"], facts["again"]) == (["gesso-panel"], 0)
    for job in set(jobs) - {left}:  # that one was discarded
        plane = np.asarray(client.attach(job).result(60).images[0].plane())
        with Image.open(folder / f"{job}.png") as file:
            shown = file.convert("RGBA")
        assert max(shown.size) == 96
        assert np.abs(inked(np.asarray(shown)) - inked(plane)).max() < 4, job


def inked(samples: Any) -> Any:
    """The mean colour of what can be seen."""
    grey = samples.shape[2] < 3
    alpha = samples[..., -1:] / 255.0 if samples.shape[2] in (2, 4) else np.ones_like(samples[..., :1], float)
    return (samples[..., :1].repeat(3, 2) if grey else samples[..., :3] * alpha).mean((0, 1))
