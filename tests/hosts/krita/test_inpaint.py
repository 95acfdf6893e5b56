"""In a real Krita with a real daemon: inpainting in every depth, selections of every kind, documents that come and go, a large one."""

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


def test_every_depth_every_kind_of_selection_and_documents_that_go(krita: Any, gesso: Path) -> None:
    """Fails without: `layer.setColorSpace(document...)` in `layers._filled`, `picture.depth` in `documents.converted`, the test of the
    identity in `placing.document_of` (a result would land in whatever is in front), `Homeless` (it would raise in a slot),
    `clone.resizeImage` in `Without._make` (all of a large canvas would be drawn anew for a box of it)."""
    facts = krita("inpaint").check()
    check_depths(facts["depths"])
    check_kinds(facts["kinds"])
    check_lives(facts["lives"])
    check_large(facts["large"])
    check_left_out(facts["without"])
    with Client(home=gesso, start=False) as client:
        check_sent(client, facts)


def check_depths(found: list[dict[str, Any]]) -> None:
    assert [entry["space"] for entry in found] == [
        ["RGBA", "U8"], ["RGBA", "U16"], ["RGBA", "F16"], ["RGBA", "F32"], ["GRAYA", "U8"], ["CMYKA", "U8"], ["LABA", "U16"],
    ]  # fmt: skip
    for entry in found:
        assert entry["layer"] == [*entry["space"], True]
        assert entry["below"]
        assert entry["changed_outside"] == 0, entry
        assert entry["changed_inside"] > 0.9 * 24 * 20, entry
        assert entry["bits"] == [8 if entry["space"][1] == "U8" else 16]
        assert entry["box"] == [26, 16, 32, 28]
    assert "Added" in found[0]["message"]
    assert "CMYK colours are converted" in found[-2]["message"]
    assert "LAB colours are converted" in found[-1]["message"]


def check_kinds(found: dict[str, Any]) -> None:
    _, right, width = found["beyond"]
    assert (right > 150, width) == (True, 128)
    assert found["grown"] == [148, 96, True]
    assert found["whole"] == [[0, 0, 128, 96], [["seed 4", False], ["seed 3", True]]]
    assert found["inverted"] == [0, 255, 255]
    assert found["best"][1:] == [1, True]
    assert found["refused"][0] is True
    assert "outside of the canvas" in found["refused"][1]


def check_lives(found: dict[str, Any]) -> None:
    below, group = found["two"][0]
    assert group == "Gesso: for the first"
    assert found["two"][1:] == [[below], True, True]
    left, top, right, bottom = found["moved"]
    assert max(abs(left - 20), abs(top - 20), abs(right - 60), abs(bottom - 60)) < 20, "where the selection was when it was asked for"
    assert found["deleted"][-1] == "Gesso: orphan"
    assert found["closed"][:2] == ["done", False]
    assert "The document was closed" in found["closed"][2]
    assert found["rescued"][-1] == "Gesso: homeless"
    assert found["none"][0] is True
    assert "No document is open" in found["none"][1]


def check_large(found: list[Any]) -> None:
    _, context, (x, y, width, height), (asking, applying) = found
    print(f"on Krita's thread, seconds of the processor: asking {asking:.3f}, applying {applying:.3f}")
    assert max(asking, applying) < 0.5  # the whole canvas has 96 MB: reading or drawing all of it would take longer
    assert context == [2548, 1528, 1024, 1024]
    assert 2900 < x <= 3000
    assert 3120 <= x + width < 3220
    assert 1900 < y <= 2000
    assert 2080 <= y + height < 2180


def check_left_out(found: dict[str, Any]) -> None:
    print("a box without a layer, seconds by the clock and of all threads:", found["took"])
    assert found["same"]
    assert found["visible"]
    assert found["drawn"] == [[1024, 1024]]


def check_sent(client: Client, facts: dict[str, Any]) -> None:
    """The messages that the daemon received, and the pictures in them."""

    def picture(job: str, name: str) -> Any:
        import imagecodecs

        data = client.download(client.job(job)["params"][name]["sha256"])
        return imagecodecs.png_decode(data) if name == "image" else np.asarray(Image.open(io.BytesIO(data)))

    deep = picture(facts["depths"][3]["job"], "image")
    assert (deep.dtype, deep.shape) == (np.uint16, (80, 96, 3))
    assert np.abs(deep[0, 0] / 257 - (0x80, 0x40, 0x20)).max() < 1.5
    mask = picture(facts["depths"][0]["job"], "mask")
    assert (mask[20:40, 30:54] == 255).all()
    assert int(mask.astype(int).sum()) == 255 * 24 * 20
    beyond = client.job(facts["kinds"]["beyond"][0])["params"]
    assert (beyond["left"], beyond["right"]) == (0, 32)
    assert client.job(facts["kinds"]["best"][0])["params"]["best_of"] == 3
    assert picture(facts["kinds"]["beyond"][0], "mask").shape == (96, 160)
    assert picture(facts["large"][0], "image").shape == (1024, 1024, 3)
