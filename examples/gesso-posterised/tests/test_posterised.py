"""The operation's arithmetic, on a picture made here; any Pillow will do for that."""

import io

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from gesso_posterised.params import PosterParams
from gesso_posterised.plugin import posterised


@pytest.mark.parametrize(("bits", "levels"), [(1, 2), (2, 4), (8, 256)])
def test_so_many_bits_stay(bits: int, levels: int) -> None:
    file = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB").save(file, "PNG")
    pixels = posterised(file.getvalue(), bits)
    assert (pixels.shape, pixels.dtype) == ((16, 16, 3), np.uint8)
    assert len(np.unique(pixels)) == levels


def test_bits_out_of_bounds_are_refused() -> None:
    with pytest.raises(ValidationError):
        PosterParams.model_validate({"image": {"sha256": "0" * 64}, "bits": 9})
