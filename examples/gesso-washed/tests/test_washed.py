"""The operation in the engine, and its arithmetic, on a picture made here."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from gesso.testing import Studio, check_operation
from PIL import Image
from pydantic import ValidationError

import gesso_washed
from gesso_washed.params import FadeParams
from gesso_washed.plugin import faded

MANIFEST = Path(gesso_washed.__file__).with_name("plugin_manifest.toml")


def red() -> bytes:
    """A red square as a PNG file."""
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (255, 0, 0)).save(file, "PNG")
    return file.getvalue()


def test_the_operation_can_be_relied_on(studio: Studio) -> None:
    studio.plugin(MANIFEST)
    name = hashlib.sha256(red()).hexdigest()
    made = check_operation(studio, "washed.washed", {"image": {"sha256": name}, "strength": 1.0}, {name: red()})
    assert made.outputs[0].pixels.shape == (3, 4, 3)


@pytest.mark.parametrize(("strength", "colour"), [(0.0, (255, 0, 0)), (1.0, (54, 54, 54))])
def test_colours_go_towards_their_luma(strength: float, colour: tuple[int, int, int]) -> None:
    pixels = faded(red(), strength)
    assert (pixels.shape, pixels.dtype) == ((3, 4, 3), np.uint8)
    assert np.all(pixels == colour)


def test_a_strength_out_of_bounds_is_refused() -> None:
    with pytest.raises(ValidationError):
        FadeParams.model_validate({"image": {"sha256": "0" * 64}, "strength": 1.5})
