"""Documents come back in their own depth, channels and profile; what cannot be worked with is refused in a sentence."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image, ImageCms

from gesso.errors import InvalidRequest
from gesso.media.documents import Document, read, write
from gesso.media.profile import LINEAR, SRGB, SRGB_TO_XYZ, Parametric, Profile, Table, read_profile, through_littlecms


def samples(dtype: str, channels: int) -> npt.NDArray[Any]:
    values = np.random.default_rng(3).random((24, 40, channels))
    if dtype.startswith("uint"):
        return (values * np.iinfo(dtype).max).astype(dtype)
    return (values * 4 - 1).astype(dtype)


CASES = [
    *(("png", dtype, channels) for dtype in ("uint8", "uint16") for channels in (1, 3, 4)),
    *(("tiff", dtype, channels) for dtype in ("uint8", "uint16", "float16", "float32") for channels in (1, 2, 3, 4)),
    *(("exr", dtype, channels) for dtype in ("float16", "float32") for channels in (1, 3, 4)),
]


@pytest.mark.parametrize(("kind", "dtype", "channels"), CASES)
def test_every_kind_comes_back_to_the_bit(kind: str, dtype: str, channels: int) -> None:
    pixels = samples(dtype, channels)
    again = read(write(Document(pixels, SRGB, kind)))
    assert again.kind == kind
    assert again.pixels.dtype == pixels.dtype
    assert again.pixels.tobytes() == pixels.tobytes()
    assert again.size == (40, 24)


def test_pillow_s_files_are_read_as_they_are() -> None:
    for mode, channels in (("L", 1), ("RGB", 3), ("RGBA", 4), ("P", 3)):
        file = io.BytesIO()
        Image.fromarray(samples("uint8", 3)).convert(mode).save(file, "PNG")
        document = read(file.getvalue())
        assert (document.pixels.dtype, document.pixels.shape[2]) == (np.uint8, channels)
        assert document.profile.is_srgb


def icc(name: str = "sRGB") -> bytes:
    """A profile as littleCMS writes it, with the second of its making inside."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_the_profile_s_bytes_go_with_the_document(kind: str) -> None:
    profile = read_profile(written := icc())
    again = read(write(Document(samples("uint16", 3), profile, kind)))
    assert again.profile.icc == written
    assert again.profile.is_srgb


def p3() -> Profile:
    primaries = np.array([[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
    curve = Parametric(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return Profile((curve, curve, curve), primaries, name="Display P3")


@pytest.mark.parametrize("profile", [SRGB, LINEAR, p3()], ids=lambda profile: profile.name)
def test_to_srgb_and_back(profile: Profile) -> None:
    values = np.random.default_rng(1).random((50, 3))
    assert np.abs(profile.from_srgb(profile.to_srgb(values)) - values).max() < 1e-5


def test_p3_red_is_more_than_srgb_s() -> None:
    red = p3().to_srgb(np.array([[1.0, 0.0, 0.0]]))[0]
    assert red == pytest.approx([1.0930, -0.2267, -0.1501], abs=0.02)  # CSS Color 4: color(display-p3 1 0 0) in sRGB


def test_our_numbers_are_littlecms_s() -> None:
    pixels = samples("uint8", 3)
    profile = read_profile(_profile_file(p3()))
    assert profile.matrix is not None
    ours = np.clip(profile.to_srgb(pixels / 255.0), 0, 1) * 255
    theirs = through_littlecms(pixels, _profile_file(p3()), back=False).astype(float)
    assert np.abs(ours - theirs).max() < 2.5
    assert np.abs(ours - theirs).mean() < 0.5


def _profile_file(profile: Profile) -> bytes:
    """A profile as a file: version 4, matrix and parametric curves."""
    import struct

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    assert profile.matrix is not None
    curve = profile.curves[0]
    assert isinstance(curve, Parametric)
    tags = [(name, b"XYZ \0\0\0\0" + fixed(*profile.matrix[:, c])) for c, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    para = b"para\0\0\0\0\0\3\0\0" + fixed(curve.g, curve.a, curve.b, curve.c, curve.d)
    tags += [(name, para) for name in (b"rTRC", b"gTRC", b"bTRC")] + [(b"wtpt", b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249))]
    words = "Test".encode("utf-16-be")
    tags += [(name, b"mluc\0\0\0\0\0\0\0\1\0\0\0\x0cenUS" + struct.pack(">II", len(words), 28) + words) for name in (b"desc", b"cprt")]
    table, body, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags:
        padded = data + b"\0" * (-len(data) % 4)
        table += struct.pack(">4sII", name, offset + len(body), len(data))
        body += padded
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"", b"acsp")
    return header.ljust(68, b"\0") + fixed(0.9642, 1, 0.8249) + b"\0" * (128 - 80) + table + body


def test_sampled_curves_go_both_ways() -> None:
    table = Table(np.linspace(0, 1, 256) ** 2.2)
    values = np.linspace(-0.2, 1.5, 400)
    assert np.abs(table.from_linear(table.to_linear(values)) - values)[40:].max() < 1e-6


def cmyk() -> bytes:
    file = io.BytesIO()
    Image.new("CMYK", (20, 20)).save(file, "JPEG")
    return file.getvalue()


def animated() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


def tiff(**options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, options.pop("data", np.zeros((20, 20, 3), np.uint8)), **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (cmyk(), "CMYK"),
        (animated(), "animation of 2"),
        (tiff(data=np.zeros((3, 20, 20), np.uint8), photometric="minisblack"), "3 pages"),
        (tiff(data=np.zeros((20, 20, 4), np.uint8), photometric="separated"), "SEPARATED"),
        (tiff(data=np.zeros((20, 20), np.float64)), "float64"),
        (tiff()[:200], "damaged"),
        (write(Document(samples("uint16", 3), SRGB, "png"))[:300], "damaged"),
        (write(Document(samples("float16", 3), SRGB, "exr"))[:300], "damaged"),
        (b"hello", "OpenEXR"),
    ],
    ids=["cmyk", "animation", "pages", "inks", "double", "short tiff", "short png", "short exr", "text"],
)
def test_what_cannot_be_worked_with_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        read(data)


@pytest.mark.parametrize("damage", [b"", b"short", icc()[:400], icc()[:132] + b"\xff" * 600], ids=["none", "short", "cut off", "no tags"])
def test_a_damaged_profile_is_named(damage: bytes) -> None:
    if not damage:
        assert read_profile(damage) is SRGB
        return
    with pytest.raises(InvalidRequest, match="colour profile"):
        read_profile(damage)


def test_srgb_s_own_profile_is_recognised() -> None:
    assert read_profile(icc()).is_srgb
    assert read_profile(icc()).matrix is SRGB_TO_XYZ
