"""Documents come back in their own depth, channels and profile; what cannot be worked with is refused in a sentence."""

from __future__ import annotations

import contextlib
import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image, ImageCms

from gesso.errors import InvalidRequest
from gesso.media.colour import Gamma, Srgb
from gesso.media.documents import Document, read, write
from gesso.media.profile import LINEAR, SRGB, SRGB_TO_XYZ, Parametric, Profile, Table, read_profile, through_littlecms


def samples(dtype: str, channels: int) -> npt.NDArray[Any]:
    values = np.random.default_rng(3).random((24, 40, channels))
    if dtype.startswith("uint"):
        return (values * np.iinfo(dtype).max).astype(dtype)
    return (values * 4 - 1).astype(dtype)


CASES = [
    *(("png", dtype, channels) for dtype in ("uint8", "uint16") for channels in (1, 2, 3, 4)),
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


def test_what_carries_no_profile_is_light_where_it_is_float_and_srgb_where_not() -> None:
    for kind, dtype, profile in (("tiff", "float32", LINEAR), ("tiff", "uint16", SRGB), ("exr", "float16", LINEAR), ("png", "uint8", SRGB)):
        assert read(write(Document(samples(dtype, 3), Profile(SRGB.curves, SRGB.matrix), kind))).profile is profile


def test_planes_are_a_document_too() -> None:
    planes = samples("float32", 4)
    assert read(planes).pixels is planes
    assert read(planes).profile is SRGB


def test_pictures_stand_upright() -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(samples("uint8", 3)).save(file, "PNG", exif=exif)
    assert np.array_equal(read(file.getvalue()).pixels, np.rot90(samples("uint8", 3), -1))


def test_planes_of_a_tiff_may_lie_apart() -> None:
    pixels = samples("uint8", 3)
    data = tiff(data=np.ascontiguousarray(np.moveaxis(pixels, 2, 0)), photometric="rgb", planarconfig="separate")
    assert np.array_equal(read(data).pixels, pixels)


def test_transparency_is_seen_wherever_a_file_keeps_it() -> None:
    clear = np.zeros((2, 2), np.uint8)
    clear[0, 0] = 1
    palette = Image.fromarray(clear, "P")
    palette.putpalette([255, 0, 0, 0, 255, 0])
    for picture, options, channels in (
        (palette, {"transparency": 1}, 4),
        (Image.fromarray(clear), {"transparency": 1}, 2),
        (Image.fromarray(np.dstack([clear * 255, 255 - clear * 255])), {}, 2),
    ):
        file = io.BytesIO()
        picture.save(file, "PNG", **options)
        pixels = read(file.getvalue()).pixels
        assert pixels.shape[2] == channels
        assert pixels[..., -1].tolist() == [[0, 255], [255, 255]]


@pytest.mark.parametrize("channels", [2, 4])
def test_a_tiff_says_that_its_last_channel_is_alpha(channels: int) -> None:
    with tifffile.TiffFile(io.BytesIO(write(Document(samples("uint16", channels), SRGB, "tiff")))) as file:
        assert file.pages[0].extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)  # type: ignore[union-attr]


def test_colours_that_a_file_has_multiplied_with_its_alpha_are_known_as_such() -> None:
    whole = samples("uint16", 4)
    document = read(write(Document(whole, SRGB, "tiff", associated=True)))
    assert document.associated
    assert np.array_equal(document.pixels, whole)
    assert read(write(Document(samples("float16", 4), LINEAR, "exr"))).associated, "as OpenEXR has them"
    assert not read(write(Document(samples("float16", 3), LINEAR, "exr"))).associated
    assert not read(write(Document(whole, SRGB, "tiff"))).associated


def test_a_document_is_written_as_another_kind() -> None:
    whole, floats = Document(samples("uint16", 3), SRGB, "png"), Document(samples("float32", 3), LINEAR, "png")
    assert read(write(whole, "tiff")).kind == "tiff"
    assert read(write(floats)).kind == "tiff", "no PNG holds floats"
    assert np.array_equal(read(write(floats, "exr")).pixels, floats.pixels)


@pytest.mark.parametrize("kind", ["png", "tiff", "exr"])
def test_the_size_is_looked_at_before_the_pixels(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write(Document(samples("float32" if kind == "exr" else "uint8", 3), SRGB, kind))
    monkeypatch.setattr("gesso.media.images.MAX_SIDE", 39)
    with pytest.raises(InvalidRequest, match="40 x 24 pixels"):
        read(data[: 7 * len(data) // 8])


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


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def para(kind: int, *values: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed(*values)


def curv(*values: int) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *values)


def _profile_file(profile: Profile, curve: bytes = b"", space: bytes = b"RGB ") -> bytes:
    """A profile as a file: version 4, matrix and parametric curves."""
    assert profile.matrix is not None
    own = profile.curves[0]
    if not curve:
        assert isinstance(own, Parametric)
        curve = para(3, own.g, own.a, own.b, own.c, own.d)
    tags = [(name, b"XYZ \0\0\0\0" + fixed(*profile.matrix[:, c])) for c, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")] + [(b"wtpt", b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249))]
    if space == b"GRAY":
        tags = [(b"kTRC", curve), tags[-1]]
    words = "Test".encode("utf-16-be")
    tags += [(name, b"mluc\0\0\0\0\0\0\0\1\0\0\0\x0cenUS" + struct.pack(">II", len(words), 28) + words) for name in (b"desc", b"cprt")]
    table, body, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags:
        padded = data + b"\0" * (-len(data) % 4)
        table += struct.pack(">4sII", name, offset + len(body), len(data))
        body += padded
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"", 0x04300000, b"mntr", space, b"XYZ ", b"", b"acsp")
    return header.ljust(68, b"\0") + fixed(0.9642, 1, 0.8249) + b"\0" * (128 - 80) + table + body


X = np.linspace(0, 1, 101)
CURVES: list[tuple[bytes, Any]] = [
    (curv(), X),
    (curv(round(1.8 * 256)), X**1.8),
    (curv(*(round(65535 * x**2.2) for x in np.linspace(0, 1, 1024))), X**2.2),
    (para(0, 2.2), X**2.2),
    (para(1, 2.0, 1.5, -0.5), np.maximum(1.5 * X - 0.5, 0) ** 2),
    (para(2, 2.0, 1.2, -0.3, 0.1), np.where(X >= 0.25, np.maximum(1.2 * X - 0.3, 0) ** 2, 0) + 0.1),
    (para(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045), np.where(X <= 0.04045, X / 12.92, ((X + 0.055) / 1.055) ** 2.4)),
    (para(4, 2.0, 0.9, 0.05, 0.35, 0.2, 0.04, 0.0229), np.where(X >= 0.2, (0.9 * X + 0.05) ** 2 + 0.04, 0.35 * X + 0.0229)),
]


@pytest.mark.parametrize(("curve", "light"), CURVES, ids=["line", "gamma", "table", "para 0", "para 1", "para 2", "para 3", "para 4"])
def test_every_sort_of_curve_is_read(curve: bytes, light: Any) -> None:
    """ICC.1:2022, sections 10.6 and 10.18. sRGB's own, which is no plain Parametric any more, is para 3."""
    read = read_profile(_profile_file(p3(), curve)).curves[1]
    assert np.abs(read.to_linear(X) - light).max() < 2e-4
    steep = np.gradient(light, X) > 0.05
    assert np.abs(read.from_linear(read.to_linear(X)) - X)[steep].max() < 1e-3
    assert (read == Srgb()) == (curve == CURVES[6][0])


def test_grey_has_one_curve() -> None:
    profile = read_profile(_profile_file(p3(), curv(round(1.8 * 256)), b"GRAY"))
    assert profile.curves == (Gamma(461 / 256),) * 3
    assert profile.icc is not None
    assert profile.name == "Test"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda made: made.replace(b"RGB ", b"Lab ", 1), "Lab colours"),
        (lambda made: made[:128] + struct.pack(">I", 201) + made[132:], "claims 201 tags"),
        (lambda made: made[:136] + struct.pack(">I", len(made)) + made[140:], "outside of it"),
        (lambda made: made.replace(b"para", b"cura"), "unknown kind"),
        (lambda made: made.replace(fixed(*p3().matrix[:, 1]), fixed(*p3().matrix[:, 0])), "on a line"),  # type: ignore[index]
    ],
    ids=["space", "tags", "outside", "curve", "primaries"],
)
def test_a_profile_that_cannot_be_is_refused(change: Any, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        read_profile(change(_profile_file(p3())))


def test_a_profile_of_tables_goes_through_littlecms() -> None:
    tables = _profile_file(p3()).replace(b"rTRC", b"xTRC")  # without a curve it is not one of matrix and curves
    profile = read_profile(tables)
    assert profile.matrix is None
    with pytest.raises(ValueError, match="is a table"):
        profile.to_srgb(np.zeros((1, 3)))
    pixels = samples("uint8", 3)
    whole = _profile_file(p3())
    there = through_littlecms(pixels, whole, back=True)
    assert np.abs(there.astype(int) - pixels).max() > 8
    inside = (np.abs(p3().from_srgb(pixels / 255) - 0.5) < 0.45).all(-1)
    again = through_littlecms(there, whole, back=False)
    assert np.abs(again.astype(int) - pixels)[inside].max() <= 8


def test_sampled_curves_go_both_ways() -> None:
    table = Table(np.linspace(0, 1, 256) ** 2.2)
    values = np.linspace(-0.2, 1.5, 400)
    assert np.abs(table.from_linear(table.to_linear(values)) - values)[40:].max() < 1e-6
    slope = (1 - (254 / 255) ** 2.2) * 255
    assert table.to_linear(np.array([1.2]))[0] == pytest.approx(1 + 0.2 * slope)
    dips = Table(np.array([0, 0.3, 0.2, 1.0]))
    assert dips.from_linear(np.array([0.15, 0.3, 1.0])) == pytest.approx([1 / 6, 1 / 3, 1.0])


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
        (tiff(data=np.zeros((20, 20, 4), np.uint8), photometric="separated"), "CMYK or other inks"),
        (tiff(data=np.zeros((20, 20), np.uint8), photometric="miniswhite"), "negative"),
        (tiff(data=np.zeros((20, 20, 6), np.uint8), photometric="rgb"), "6 channels"),
        (b"II*\0" + bytes(30), "holds no picture"),
        (b"\x76\x2f\x31\x01" + bytes(30), "read: its pixels cannot be decoded.$"),
        (tiff(data=np.zeros((20, 20), np.float64)), "float64"),
        (tiff()[:200], "damaged"),
        (write(Document(samples("uint16", 3), SRGB, "png"))[:300], "damaged"),
        (write(Document(samples("float16", 3), SRGB, "exr"))[:300], "damaged"),
        (b"hello", "OpenEXR"),
    ],
    ids=[
        "cmyk",
        "animation",
        "pages",
        "inks",
        "negative",
        "six",
        "no page",
        "no header",
        "double",
        "short tiff",
        "short png",
        "short exr",
        "text",
    ],
)
def test_what_cannot_be_worked_with_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        read(data)
    assert caught.value.hint, "it says what to do"


@pytest.mark.parametrize("kind", ["png", "tiff", "exr"])
def test_whatever_is_broken_is_an_error_of_the_request(kind: str) -> None:
    whole = write(Document(samples("float16" if kind == "exr" else "uint16", 3), SRGB, kind))
    rng = np.random.default_rng(5)
    for _ in range(60):
        broken = np.frombuffer(whole, np.uint8).copy()
        broken[rng.integers(0, 300, 3)] = rng.integers(0, 256, 3)
        with contextlib.suppress(InvalidRequest):
            read(broken.tobytes())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_stands_upright_as_a_jpeg_does(orientation: int) -> None:
    pixels = samples("uint8", 3)
    turned = tiff(data=pixels, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    assert np.array_equal(read(turned).pixels, read(file.getvalue()).pixels)


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
