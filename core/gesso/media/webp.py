"""Writes WebP files: 8 bits, RGB or RGBA, with the recipe in the EXIF block. Equal input gives equal bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image

from gesso import exif

LARGEST_SIDE = 16_383


def write(pixels: npt.NDArray[np.uint8], texts: Mapping[str, str], icc: bytes | None = None, quality: int | None = None) -> bytes:
    """Pixels uint8 (H, W, 1 to 4) -> a file without loss, or of a quality of 0 to 100; colours under full transparency are kept."""
    if max(pixels.shape[:2]) > LARGEST_SIDE:
        raise ValueError(f"a WebP has at most {LARGEST_SIDE} pixels a side")
    colours, alpha = pixels[..., : 1 if pixels.shape[2] < 3 else 3], pixels[..., pixels.shape[2] - 1 + pixels.shape[2] % 2 :]
    rgb = np.repeat(colours, 3, 2) if colours.shape[2] == 1 else colours
    picture = Image.fromarray(np.ascontiguousarray(np.concatenate([rgb, alpha], 2)))
    file = io.BytesIO()
    how = {"lossless": True, "exact": True, "quality": 40} if quality is None else {"quality": quality, "exact": True}
    picture.save(file, "WEBP", icc_profile=icc or b"", exif=exif.pack(texts), **how)
    return file.getvalue()
