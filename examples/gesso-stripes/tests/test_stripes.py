"""The family's card and pictures."""

import numpy as np
import torch
from gesso.manifest import ModelEntry

from gesso_stripes.plugin import StripesFamily

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
