"""The operation's arithmetic, on a picture made here."""

import io

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from gesso_washed.params import FadeParams
from gesso_washed.plugin import faded


def red() -> bytes:
    """A red square as a PNG file."""
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (255, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("strength", "colour"), [(0.0, (255, 0, 0)), (1.0, (54, 54, 54))])
def test_colours_go_towards_their_luma(strength: float, colour: tuple[int, int, int]) -> None:
    pixels = faded(red(), strength)
    assert (pixels.shape, pixels.dtype) == ((3, 4, 3), np.uint8)
    assert np.all(pixels == colour)


def test_a_strength_out_of_bounds_is_refused() -> None:
    with pytest.raises(ValidationError):
        FadeParams.model_validate({"image": {"sha256": "0" * 64}, "strength": 1.5})
