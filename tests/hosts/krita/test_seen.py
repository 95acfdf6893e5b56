"""In a real Krita at 200 %: the docker is read, walked through with the keyboard, and says what an issue needs."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso.client import Client
from gesso.wire.message import PACKAGE_VERSION

from .conftest import LIMIT

pytestmark = [pytest.mark.krita, pytest.mark.timeout(LIMIT)]
READABLE = 4.5
"""The contrast that WCAG 2.1 asks of text (level AA)."""


def test_readable_at_twice_the_size_in_both_themes_and_by_keyboard(krita: Any, gesso: Path, tmp_path: Path, keep_pictures: Any) -> None:
    """Fails without: `setWordWrap` of the docker's message (it would be cut off), `setFont` in `Foot.say` (a style sheet would keep the
    colours of the other theme), `_tone` of `Halves` (empty fields would hardly be read), `fold.grown.connect` of the docker (the rows of a
    region would come after the buttons), `setText` in `Foot._copy`, `_open` in `placing.apply` (the larger picture would be a layer)."""
    verdict = krita("seen", QT_SCALE_FACTOR="2")
    keep_pictures(tmp_path)
    facts = verdict.check()
    assert facts["scale"] == 2.0
    assert len(facts["cut"]) == 2
    assert facts["cut"] == {width: [] for width in facts["cut"]}
    check_contrast(facts["contrast"])
    check_keyboard(facts["walked"], facts["able"])
    check_foot(facts, gesso)
    check_enlarged(facts, gesso)


def check_contrast(found: dict[str, dict[str, float]]) -> None:
    assert list(found) == ["Krita dark", "Krita bright"]
    for theme, controls in found.items():
        faint = {name: ratio for name, ratio in controls.items() if ratio < READABLE}
        assert not faint, (theme, faint)
        assert len(controls) > 50


def check_keyboard(walked: list[str], able: list[str]) -> None:
    assert walked == able
    assert len(walked) > 30
    places = [walked.index(f"gesso_{name}") for name in ("operation", "fold_regions", "region_add", "fold_control", "generate", "open_log")]
    assert places == sorted(places)
    assert walked[-1] == "gesso_open_log"


def check_foot(facts: dict[str, Any], home: Path) -> None:
    report = facts["report"]
    for part in (f"Gesso bridge {PACKAGE_VERSION} (krita)", f"Krita: {facts['krita']}", f"daemon: version {PACKAGE_VERSION}"):
        assert part in report
    assert "last error: There is no model 'no-such-model'" in report
    assert "meadow" not in report
    assert (home / "run/nonce").read_text().strip() not in report
    assert not re.search(r"[0-9a-f]{32}", report)
    assert facts["opened"] == [str(home / "logs/daemon.log")]


def check_enlarged(facts: dict[str, Any], home: Path) -> None:
    """What the daemon received, and what became of it in Krita."""
    state, number, *size = facts["enlarged"]
    assert (state, size, facts["colours"]) == ("done", [128, 128], ["204080ff"])
    with Client(home=home, start=False) as client:
        job = client.job(number)
        sent = np.asarray(Image.open(io.BytesIO(client.download(job["params"]["image"]["sha256"]))))
    assert (job["operation"], job["client"], job["params"]["scale"]) == ("upscale", "krita", 2)
    assert sent.shape == (64, 64, 3)
    assert (sent == (0x80, 0x40, 0x20)).all()
