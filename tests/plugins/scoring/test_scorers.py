"""The scorers of pixels order pictures as an eye would: sharp before blurred, seamless before cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gesso.plugin import ScoreContext
from gesso_plugins.scoring import seam, sharpness

STONE = {"prompt": "mossy grey cobblestone", "seed": 5, "width": 128, "height": 128, "model": "procedural"}


@pytest.fixture
def seamless(studio: Any) -> np.ndarray:
    pixels: np.ndarray = studio.make("generate", {**STONE, "tile": "xy"}).outputs[0].pixels
    return pixels


def test_blur_costs_sharpness_step_by_step(seamless: np.ndarray) -> None:
    blurred = [np.asarray(Image.fromarray(seamless).filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 1, 2, 4)]
    scores = [sharpness.measured(picture) for picture in blurred]
    assert all(0 <= score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 4 * scores[2]
    assert sharpness.measured(np.full((8, 8, 3), 90, np.uint8)) == 0
    assert sharpness.measured(np.zeros((1, 1, 3), np.uint8)) == 0


def test_a_cut_texture_scores_below_a_seamless_one(seamless: np.ndarray) -> None:
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    assert seam.measured(seamless, "xy") > 0.8
    assert seam.measured(np.roll(seamless, (40, 23), (0, 1)), "xy") > 0.8
    assert seam.measured(ramp, "x") < 0.1
    assert seam.measured(ramp, "y") == 1.0
    assert seam.measured(ramp, "xy") == seam.measured(ramp, "x")
    assert seam.measured(np.full((8, 8, 3), 90, np.uint8), "xy") == 1.0


def test_scorers_take_several_pictures_in_the_engine(studio: Any, seamless: np.ndarray) -> None:
    for name in ("sharpness", "Seam"):
        spec = studio.registry.scorer(name)
        scores = studio.run(spec.function(ScoreContext(studio.context(), [seamless, seamless[:3, :3]], tile="x")))
        assert len(scores) == 2
        assert all(isinstance(score, float) for score in scores)
