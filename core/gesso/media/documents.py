"""Pictures as documents: read and written in their own depth, channels and colour profile. It reads no path.

PNG keeps 8 and 16 bits, TIFF 8, 16 and 32 bits (whole or float), OpenEXR half and float; JPEG and WebP are 8 bits.
"""

from __future__ import annotations

import io
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from gesso.errors import InvalidRequest
from gesso.media import exr
from gesso.media.images import DAMAGED, FORMATS, Picture, check_size, reason, subject
from gesso.media.png import SIGNATURE
from gesso.media.png import write as write_png
from gesso.media.profile import LINEAR, SRGB, Profile, read_profile

Pixels = npt.NDArray[Any]
DEPTHS = ("uint8", "uint16", "float16", "float32")
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_PIXELS = 2**26
"""8192 x 8192: only what an edit touches is ever turned into floats, so a document may be larger than a picture for a model."""
READS = "PNG, JPEG, WebP, TIFF and OpenEXR"
IN_WORDS = {
    "SEPARATED": "is in CMYK or other inks",
    "MINISWHITE": "is a negative, whose zero is white",
    "PALETTE": "has a palette",
    "CIELAB": "is in Lab",
}
"""What photometric interpretations of TIFF that are refused mean."""


@dataclass(frozen=True)
class Document:
    """pixels (H, W, 1 to 4) of uint8, uint16, float16 or float32: grey, grey and alpha, RGB, RGBA. ``kind``: png, jpeg, webp, tiff, exr.
    ``associated``: colours are multiplied with the alpha, as OpenEXR has them and a TIFF may.
    """

    pixels: Pixels
    profile: Profile
    kind: str
    associated: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def returned(self) -> str:
        """The kind of file that it comes back as: TIFF and OpenEXR as themselves, all else as PNG."""
        return self.kind if self.kind in ("tiff", "exr") else "png"


def read(data: Picture, field: str = "image") -> Document:
    """A document from the bytes of a file, or from planes. Raises InvalidRequest; the size is checked before pixels are decoded."""
    if not isinstance(data, bytes):
        return Document(data, SRGB, "tiff")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if data.startswith(TIFF_SIGNATURES):
                return _tiff(data, field)
            if data.startswith(exr.SIGNATURE):
                pixels = exr.read(data, field)
                return Document(pixels, LINEAR, "exr", associated=pixels.shape[2] in (2, 4))
            return _common(data, field)
    except UnidentifiedImageError as fault:
        said = f"{subject(field)} is not a picture that Gesso reads; it reads {READS}."
        raise InvalidRequest(said, field=field, hint="Save a copy as one of these.") from fault
    except (OSError, SyntaxError, ValueError, RuntimeError, LookupError, TypeError, Image.DecompressionBombWarning, zlib.error) as fault:
        raise InvalidRequest(f"{subject(field)} is damaged and cannot be read: {reason(fault)}.", field=field, hint=DAMAGED) from fault


def write(document: Document, kind: str | None = None) -> bytes:
    """The bytes of a file of the document's own kind, or another: png (8 and 16 bits), tiff (any depth), exr (floats)."""
    wanted = kind or document.kind
    if wanted == "exr":
        return exr.write(document.pixels)
    if wanted == "tiff" or document.pixels.dtype.kind == "f":
        return _to_tiff(document)
    return write_png(document.pixels, {}, document.profile.icc)


def _common(data: bytes, field: str) -> Document:
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        check_size(picture.width, picture.height, field, MAX_PIXELS)
        _refuse(picture, field)
        profile, kind = read_profile(picture.info.get("icc_profile"), field), str(picture.format).lower()
        if data.startswith(SIGNATURE) and data[24] == 16:
            import imagecodecs

            return Document(_shaped(imagecodecs.png_decode(data)), profile, kind)
        ImageOps.exif_transpose(picture, in_place=True)  # it and `convert` copy, and a canvas may be large
        alpha = picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info
        grey = picture.mode in ("1", "L", "LA")
        mode = ("L" if grey else "RGB") + ("A" if alpha else "")
        return Document(_shaped(np.asarray(picture if picture.mode == mode else picture.convert(mode))), profile, kind)


def _refuse(picture: Image.Image, field: str) -> None:
    if picture.mode == "CMYK":
        raise InvalidRequest(
            f"{subject(field)} is in CMYK, and Gesso works in RGB and grey.",
            field=field,
            hint="Convert a copy to RGB, in sRGB or Display P3.",
        )
    if getattr(picture, "n_frames", 1) > 1:
        said = f"{subject(field)} is an animation of {getattr(picture, 'n_frames', 0)} pictures."
        raise InvalidRequest(said, field=field, hint="Save one of them by itself.")


def _tiff(data: bytes, field: str) -> Document:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        if not len(file.pages):
            raise ValueError("it holds no picture")
        page: Any = file.pages[0]
        check_size(page.imagewidth, page.imagelength, field, MAX_PIXELS)
        _refuse_tiff(file, page, field)
        pixels = page.asarray()
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and pixels.ndim == 3:
            pixels = np.moveaxis(pixels, 0, 2)
        icc = page.tags.get("InterColorProfile")
        turned = page.tags.valueof("Orientation", 1)
        associated = tifffile.EXTRASAMPLE.ASSOCALPHA in page.extrasamples
    if str(pixels.dtype) not in DEPTHS:
        said = f"{subject(field)} has samples of the type {pixels.dtype}; Gesso keeps {', '.join(DEPTHS)}."
        raise InvalidRequest(said, field=field, hint="Save a copy with 16 bits, or with floats of 32.")
    profile = read_profile(bytes(icc.value), field) if icc is not None else read_profile(None) if pixels.dtype.kind == "u" else LINEAR
    return Document(_shaped(_upright(pixels, turned)), profile, "tiff", associated)


def _refuse_tiff(file: Any, page: Any, field: str) -> None:
    import tifffile

    if len(file.pages) > 1:
        said = f"{subject(field)} has {len(file.pages)} pages."
        raise InvalidRequest(said, field=field, hint="Save one of them by itself.")
    colours = {tifffile.PHOTOMETRIC.RGB: 3, tifffile.PHOTOMETRIC.MINISBLACK: 1}
    if page.photometric not in colours:
        name = str(getattr(page.photometric, "name", page.photometric))
        said = f"{subject(field)} {IN_WORDS.get(name, f'has {name} colours')}, and Gesso works in RGB and grey."
        raise InvalidRequest(said, field=field, hint="Convert a copy to RGB, in sRGB or Display P3.")
    inks = colours[page.photometric]
    if page.samplesperpixel not in (inks, inks + 1):
        said = f"{subject(field)} has {page.samplesperpixel} channels; Gesso keeps grey or RGB, with one alpha or without."
        raise InvalidRequest(said, field=field, hint="Save a copy without the other channels.")


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Rows as they are to be seen, of an orientation of TIFF and Exif (1 to 8)."""
    turned = pixels if orientation < 5 else np.swapaxes(pixels, 0, 1)
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return turned[::-1] if orientation in (3, 4, 7, 8) else turned


def _to_tiff(document: Document) -> bytes:
    import tifffile

    pixels = document.pixels
    channels = pixels.shape[2]
    target = io.BytesIO()
    tifffile.imwrite(
        target,
        pixels[..., 0] if channels == 1 else pixels,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["assocalpha" if document.associated else "unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        predictor=True if pixels.dtype.kind == "u" else None,
        iccprofile=document.profile.icc,
        software=False,
        metadata=None,
    )
    return target.getvalue()


def _shaped(pixels: Pixels) -> Pixels:
    """(H, W, channels)."""
    return np.ascontiguousarray(pixels[..., None] if pixels.ndim == 2 else pixels)
