"""What Gesso relies on in every scorer, and that this one likes colours."""

from pathlib import Path

import numpy as np
from gesso.testing import Studio, check_scorer

import gesso_vivid
from gesso_vivid.plugin import colourful

MANIFEST = Path(gesso_vivid.__file__).with_name("plugin_manifest.toml")


def test_the_scorer_can_be_relied_on(studio: Studio) -> None:
    studio.plugin(MANIFEST)
    check_scorer(studio, studio.registry.scorer("vivid.vivid"))


def test_vivid_pictures_score_above_grey_ones() -> None:
    vivid = np.zeros((8, 8, 3), np.uint8)
    vivid[:4, :, 0] = vivid[4:, :, 2] = 255
    assert colourful(np.full((8, 8, 3), 128, np.uint8)) == 0
    assert colourful(vivid // 2) < colourful(vivid) < 1
