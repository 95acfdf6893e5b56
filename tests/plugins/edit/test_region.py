"""Two passes as pixels: what a small first pass leaves behind for the second."""

from __future__ import annotations

import numpy as np

from gesso.media.documents import Document
from gesso.media.profile import SRGB
from gesso.model.card import Defaults, Limits, ModelCard
from gesso_plugins.edit.params import EditParams
from gesso_plugins.edit.region import halfway, planned

CARD = ModelCard("m", "f", "d", "M", None, frozenset(), Defaults(width=64, height=64), Limits(16, 512, 8))


def test_a_small_first_pass_is_mended_before_it_is_refined() -> None:
    """It came back darker, and more so to the right; what is not covered is the picture itself."""
    y, x = np.mgrid[:240, :240] / 240
    picture = np.stack([0.3 + 0.4 * x, 0.7 - 0.3 * y, 0.5 + 0 * x], 2)
    plane = np.zeros((240, 240, 1), np.uint8)
    plane[60:180, 60:180] = 255
    params = EditParams.model_validate({"image": {"sha256": "0" * 64}})
    region = planned(Document(np.uint8(picture * 255), SRGB, "png"), Document(plane, SRGB, "png"), params, CARD)
    assert region.geometry.two_passes
    shown = region.shown(region.geometry.first)
    width = shown.picture.shape[1]
    dark = shown.picture - np.linspace(0.05, 0.15, width, dtype=np.float32)[None, :, None]
    left = halfway(region, shown, np.uint16(np.clip(dark, 0, 1) * 65535), params)
    assert left.shape == region.seen.shape
    outside = region.cover == 0
    assert np.array_equal(left[outside], region.seen[outside])
    assert np.abs(left - region.seen)[~outside].max() < 0.02
    careless = halfway(region, shown, np.uint16(np.clip(dark, 0, 1) * 65535), params.model_copy(update={"match_border": False}))
    assert np.abs(careless - region.seen)[~outside].max() > 0.1
