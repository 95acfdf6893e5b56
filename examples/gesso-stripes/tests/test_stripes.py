"""The family's card and pictures, alone and in the engine."""

from pathlib import Path

import numpy as np
import torch
from gesso.manifest import ModelEntry
from gesso.testing import Studio, check_operation

import gesso_stripes
from gesso_stripes.plugin import StripesFamily

MANIFEST = Path(gesso_stripes.__file__).with_name("plugin_manifest.toml")
ENTRY = ModelEntry("plain", "stripes", "Stripes", None, ("render",))


def test_equal_seeds_give_equal_pictures_of_the_size_asked_for() -> None:
    family = StripesFamily()
    model = family.load(family.inspect(ENTRY), torch.device("cpu"))
    inputs = {"prompt": "x", "width": 64, "height": 32, "seed": 3, "tile": "xy"}
    pictures = [model.apply("render", inputs) for _ in range(2)]
    assert pictures[0].pixels.shape == (32, 64, 3)
    assert np.array_equal(pictures[0].pixels, pictures[1].pixels)


def test_the_card_says_what_the_model_can_do() -> None:
    card = StripesFamily().inspect(ENTRY)
    assert card.capabilities == {"render"}


def test_the_model_makes_pictures(studio: Studio) -> None:
    studio.plugin(MANIFEST)
    made = check_operation(studio, "generate", {"prompt": "x", "model": "stripes.plain", "width": 64, "height": 64, "seed": 3})
    assert made.outputs[0].pixels.shape == (64, 64, 3)
