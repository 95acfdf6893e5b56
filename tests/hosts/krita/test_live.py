"""In a real Krita with a real daemon: live painting follows strokes, one frame at a time, and takes little of Krita's own thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from gesso.client import Client

from .conftest import LIMIT

pytestmark = [pytest.mark.krita, pytest.mark.timeout(LIMIT)]


def test_live_painting_follows_the_brush(krita: Any, gesso: Path, tmp_path: Path, keep_pictures: Any) -> None:
    """Fails without: `self._hashes[place] = digest` in `Strips.tick` (nothing new would ever be sent), the state "under way" in `Frames`
    (frames would pile up), the test for no data in `Live._read` (a closed document would be hashed for ever),
    `minimumSizeHint` in `Scrolled` (the docker would push Krita's window over the edge of the screen), `known.get(id(part))` in `Png.file`
    (every strip would be packed for every frame), `self._without.read(box)` in `Live._read` (the layer that is left out would be sent),
    `sheet.setPixelData` in `Without.read` (strokes below that layer would not be seen)."""
    verdict = krita("live")
    keep_pictures(tmp_path)
    facts = verdict.check()
    print(facts["wall_ms"], facts["cpu_ms"], facts["frames"], facts["ticks"], facts["packed"])
    print("without a layer:", facts["below_wall_ms"], facts["below_ms"], facts["below_ticks"])
    assert facts["refused"][0] == "Live painting paints what is selected, and Upscale does not. Choose Fill or Refine, for instance."
    assert facts["refused"][1:] == [False, False]
    assert facts["painted"]
    assert facts["frames"] >= 2
    assert facts["results"]
    assert facts["together"] == 1
    assert facts["listed"] == 0
    assert facts["view"]
    assert max(facts["least"][0] - 420, facts["least"][1] - 188) <= 0, "it shares a column of 1000, or 768, pixels with others"
    assert facts["kept_below"]
    assert facts["ticks"] > 100
    assert facts["cpu_ms"]["p99"] <= 8.0  # of the processor: a clock would measure what else this machine does
    assert facts["closed"][0] is False
    assert "live painting has stopped" in facts["closed"][1]
    assert facts["packed"][0] >= 16 > min(facts["packed"][1:])
    assert facts["packers"] == ["gesso-job-"]
    assert facts["below_painted"]
    assert facts["still_covered"]
    assert facts["below_ticks"] > 100
    assert facts["below_ms"]["p99"] <= 8.0
    with Client(home=gesso, start=False) as client:
        for job, file in ((facts["job"], "painted.bgra"), (facts["below_job"], "below.bgra")):
            check_sent(client, job, np.frombuffer((verdict.folder / file).read_bytes(), np.uint8).reshape(1024, 1024, 4))


def check_sent(client: Client, number: str, painted: Any) -> None:
    """What the daemon received."""
    job = client.job(number)
    sent = imagecodecs.png_decode(client.download(job["params"]["image"]["sha256"]))
    assert (job["operation"], job["level"], job["priority"], job["client"]) == ("edit", "fast", "interactive", "krita")
    assert np.array_equal(sent, painted[..., [2, 1, 0]])
