"""Pictures in and out of numbers: safe decoding of what clients send, exact rounding of what models make. It reads no path."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from gesso.errors import InvalidRequest, ModelError

Picture = bytes | npt.NDArray[np.float32]
"""A picture as a file's bytes, or as planes that another operation made: (H, W, 1 to 4) in 0..1, sRGB, the last of 2 or 4 alpha."""

FORMATS = ("PNG", "JPEG", "WEBP")
DAMAGED = "Save it again in the program that made it, or take another copy."
MAX_SIDE = 16_384
MAX_PIXELS = 40_000_000


def decode(data: Picture, field: str = "image") -> npt.NDArray[np.float32]:
    """Planes, or the bytes of a PNG, JPEG or WebP file -> float32 (H, W, 3) in 0..1, sRGB, upright, over white where it is transparent.

    The size is checked before a pixel is decoded: at most 16384 a side and 40 megapixels. Raises InvalidRequest.
    """
    if isinstance(data, bytes):
        return _decoded(data, field, _colours)
    planes = decode_transparent(data, field)
    return _over_white(planes) if planes.shape[2] == 4 else planes


def decode_transparent(data: Picture, field: str = "image") -> npt.NDArray[np.float32]:
    """The same, but (H, W, 4) with the alpha as it is where the picture has one."""
    if isinstance(data, bytes):
        return _decoded(data, field, _transparent)
    colours = np.repeat(data[..., :1], 3, axis=2) if data.shape[2] < 3 else data
    return np.concatenate([colours, data[..., 1:]], axis=2) if data.shape[2] == 2 else colours


def _decoded(data: bytes, field: str, read: Callable[[Image.Image], npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                check_size(picture.width, picture.height, field)
                picture.load()
                return read(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError as fault:
        said = f"{subject(field)} is not a picture that Gesso reads; it reads {', '.join(FORMATS)}."
        raise InvalidRequest(said, field=field, hint="Save a copy as PNG.") from fault
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as fault:
        raise InvalidRequest(
            f"{subject(field)} has too many pixels; at most {MAX_PIXELS // 1_000_000} million are allowed.", field=field
        ) from fault
    except (OSError, SyntaxError, ValueError) as fault:
        raise InvalidRequest(f"{subject(field)} is damaged and cannot be read: {reason(fault)}.", field=field, hint=DAMAGED) from fault


def reason(fault: BaseException) -> str:
    """What a library said, as the end of a sentence: one line without its full stop."""
    return " ".join(str(fault).split())[:200].rstrip(". ") or "its pixels cannot be decoded"


def subject(field: str) -> str:
    """A field as a sentence begins with it: ``mask`` is "The mask", ``images.2`` "Picture 3 of `images`"."""
    name, _, number = field.partition(".")
    return f"Picture {int(number) + 1} of `{name}`" if number.isdecimal() else f"The {field}"


def check_size(width: int, height: int, field: str, most: int = MAX_PIXELS) -> None:
    """Refuse a picture of more than 16384 pixels a side or ``most`` in all, before a pixel of it is decoded."""
    if width > MAX_SIDE or height > MAX_SIDE or width * height > most:
        raise InvalidRequest(
            f"{subject(field)} has {width} x {height} pixels; {MAX_SIDE} a side and {most // 1_000_000} million in all are allowed.",
            field=field,
            hint="Make it smaller first.",
        )


def _colours(picture: Image.Image) -> npt.NDArray[np.float32]:
    if picture.mode in {"I", "I;16", "I;16L", "I;16B", "F"}:
        grey = np.asarray(picture, np.float32) / np.float32(65535.0)
        return np.repeat(np.clip(grey, 0.0, 1.0)[..., None], 3, axis=2)
    if _has_alpha(picture):
        return _over_white(_transparent(picture))
    return np.asarray(picture.convert("RGB"), np.float32) / np.float32(255.0)


def _over_white(rgba: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    alpha = rgba[..., 3:]
    return np.asarray(rgba[..., :3] * alpha + (1.0 - alpha), np.float32)


def _has_alpha(picture: Image.Image) -> bool:
    return picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info


def _transparent(picture: Image.Image) -> npt.NDArray[np.float32]:
    return np.asarray(picture.convert("RGBA"), np.float32) / np.float32(255.0) if _has_alpha(picture) else _colours(picture)


def to_planes(data: Picture, width: int, height: int) -> Tensor:
    """A picture -> (1, 3, height, width) float32 in 0..1: scaled to cover the size, the overhang cut off evenly."""
    colours = decode(data)
    if colours.shape[:2] != (height, width):
        planes = [_fitted(colours[..., channel], width, height) for channel in range(3)]
        colours = np.clip(np.stack(planes, axis=2), 0.0, 1.0)
    return torch.from_numpy(np.array(colours.transpose(2, 0, 1), order="C")[None])


def _fitted(plane: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.float32]:
    fitted = ImageOps.fit(Image.fromarray(np.ascontiguousarray(plane)), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(fitted, np.float32)


def quantised(values: npt.NDArray[np.floating[Any]], bits: int) -> npt.NDArray[Any]:
    """Floats in 0..1 -> uint8 or uint16, rounded to the nearest (halves up), clipped; NaN is a ModelError."""
    if bits not in (8, 16):
        raise ValueError(f"pictures have 8 or 16 bits a sample, not {bits}")
    if np.isnan(np.sum(values)):
        raise ModelError(
            "The model made a picture that holds no numbers (NaN) in places.",
            hint="Lower the guidance, take another sampler, or run the model in a wider number format.",
        )
    top = float(2**bits - 1)
    samples: npt.NDArray[Any] = values.astype(np.float32 if bits == 8 else np.float64)
    scaled = np.clip(samples * top, 0.0, top)
    rounded: npt.NDArray[Any] = np.floor(scaled + 0.5).astype(np.uint8 if bits == 8 else np.uint16)
    return rounded


def to_samples(image: Tensor, bits: int) -> npt.NDArray[Any]:
    """(1, 3, H, W) in 0..1 -> uint8 or uint16 (H, W, 3)."""
    return quantised(image[0].detach().to("cpu", torch.float32).permute(1, 2, 0).contiguous().numpy(), bits)


def to_uint8(image: Tensor) -> npt.NDArray[np.uint8]:
    """(1, 3, H, W) in 0..1 -> uint8 (H, W, 3)."""
    return to_samples(image, 8)
