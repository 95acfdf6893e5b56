"""An edit of 300 x 300 pixels on a canvas of 8192 x 8192 in the real daemon: what front and worker need for it, and what it touches."""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.plugins.conftest import build_pipeline

from ..conftest import end_all
from .talk import Daemon
from .test_memory import peak_of

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc"),
]
SIDE, X, Y, SELECTION = 8192, 3000, 5000, 300
MOST = 1500 << 20


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A front with the real worker and a tiny model."""
    root = Path(tempfile.mkdtemp(prefix="gesso-", dir="/tmp"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = build_pipeline(tmp_path)
    found = Daemon(root, {"GESSO_TEST_DEATH": str(root / "death")}, worker="mortal_worker.py", settings={"worker.hang_patience": 600})
    found.home.prepare()
    entry = {
        "name": "tiny",
        "family": "stable-diffusion",
        "path": str(path),
        "capabilities": ["encode_text", "denoise", "decode", "encode_image"],
        "limits": {"smallest": 16, "largest": 128},  # its latents are half as large as its pictures: attention over more would take minutes
    }
    (found.home.models / "models.json").write_text(json.dumps([entry]))
    yield found.start()
    found.stop(60)
    end_all(root)
    shutil.rmtree(root)


def png(pixels: np.ndarray) -> bytes:
    """A file, quickly."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def test_a_small_selection_on_a_huge_canvas_costs_little_more_than_the_canvas(daemon: Daemon) -> None:
    ramp = (np.arange(SIDE, dtype=np.uint16) // 37).astype(np.uint8)
    canvas = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], ramp[None, ::-1]), 2)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[Y : Y + SELECTION, X : X + SELECTION] = 255
    with daemon.talk() as talk:
        image, cover = ({"sha256": talk.upload(png(pixels))} for pixels in (canvas, mask))
        params = {"image": image, "mask": cover, "model": "tiny", "steps": 1, "seed": 1, "returns": "region"}
        done = talk.end(str(talk.ask("submit", key="large", operation="edit", params=params)["job"]), 600)
        assert done["type"] == "done", done
        peaks = {"front": peak_of(daemon.live.pid), "worker": peak_of(talk.ask("status")["workers"][0]["pid"])}
        print(", ".join(f"{name} {peak >> 20} MiB" for name, peak in peaks.items()))
        assert max(peaks.values()) < MOST
        assert peaks["front"] < 300 << 20, "the front hands files on and decodes none"
        (made,) = done["result"]["images"]
        pixels = np.asarray(Image.open(io.BytesIO(talk.blob(made["sha256"]))))
    x, y, width, height = made["measured"]["box"]
    context = made["measured"]["context"]
    assert max(context[2:]) < 4 * SELECTION, "only the context is worked on"
    assert pixels.shape == (height, width, 3)
    before = canvas[y : y + height, x : x + width]
    assert (pixels != before)[Y - y : Y - y + SELECTION, X - x : X - x + SELECTION].mean() > 0.5
    assert np.array_equal(pixels[0], before[0]) or y == 0, "the edge of the box is where the blend ends"
