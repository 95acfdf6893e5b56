"""`cutout` on synthetic mattes: alpha and foreground are known, so that errors are numbers; and through the engine in every depth."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gesso.errors import InvalidRequest
from gesso.media.documents import Document, write
from gesso.media.profile import LINEAR, SRGB
from gesso_plugins.edit.matte import closed_form
from gesso_plugins.edit.matte.closed_form import solved
from gesso_plugins.edit.matte.foreground import estimated
from gesso_plugins.edit.matte.trimap import trimap

SIDE = 128
Plane = npt.NDArray[Any]


def scene(soft: float = 0.05) -> tuple[Plane, Plane, Plane]:
    """Foreground, matte and picture, in linear light: a star with a soft edge, both sides shaded and with grain."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    turn, radius = np.arctan2(y - 0.5, x - 0.5), np.hypot(y - 0.5, x - 0.5)
    edge = 0.3 + 0.03 * np.sin(9 * turn) + 0.015 * np.sin(23 * turn)
    alpha = np.clip((edge - radius) / soft + 0.5, 0, 1)
    fore = np.stack([0.8 + 0.1 * np.sin(5 * x), 0.3 + 0.2 * y, 0.2 + 0.1 * np.cos(7 * y)], 2) + rng.normal(0, 0.01, (SIDE, SIDE, 3))
    back = np.stack([0.1 + 0.1 * x, 0.4 + 0.3 * np.sin(3 * x + y), 0.7 - 0.2 * y], 2) + rng.normal(0, 0.01, (SIDE, SIDE, 3))
    picture = fore * alpha[..., None] + back * (1 - alpha[..., None])
    return (np.clip(values, 0, 1).astype(np.float32) for values in (fore, alpha, picture))  # type: ignore[return-value]


def rough_of(alpha: Plane) -> Plane:
    """A mask by hand: hard, and two pixels beside the edge."""
    return (np.roll(alpha, (2, -2), (0, 1)) > 0.5).astype(np.float32)


def test_the_matte_and_the_foreground_of_a_known_scene_are_found() -> None:
    fore, alpha, picture = scene()
    known = trimap(rough_of(alpha), 7)
    unknown = known.unknown
    assert 0.1 < unknown.mean() < 0.4
    matte = solved(picture, known.matte, unknown)
    assert np.array_equal(matte[~unknown], known.matte[~unknown])
    before, after = (np.abs(found - alpha)[unknown].mean() for found in (known.rough, matte))
    assert before > 0.06
    assert after < 0.01
    mixed = (alpha > 0.1) & (alpha < 1)
    stained, clean = (np.abs(found - fore)[mixed].mean() for found in (picture, estimated(picture, matte)))
    assert stained > 0.15
    assert clean < 0.02


def test_a_large_band_is_solved_on_a_smaller_picture_and_brought_back(monkeypatch: pytest.MonkeyPatch) -> None:
    _, alpha, picture = scene(soft=0.12)
    known = trimap(rough_of(alpha), 10)
    whole = solved(picture, known.matte, known.unknown)
    monkeypatch.setattr(closed_form, "MOST", int(known.unknown.sum()) - 1)
    halved = solved(picture, known.matte, known.unknown)
    assert not np.array_equal(whole, halved)
    assert np.abs(halved - alpha)[known.unknown].mean() < 0.02


def test_a_trimap_keeps_something_of_both_sides() -> None:
    mask = np.zeros((9, 9), np.float32)
    mask[4, 4] = 1
    known = trimap(mask, 40)
    assert known.matte[4, 4] == 1
    assert not known.unknown[4, 4]
    assert not known.unknown[0, 0]
    mask[4, 4] = 0.5
    assert trimap(mask, 2).unknown[4, 4]


def test_the_foreground_where_the_matte_is_one_is_the_picture() -> None:
    _, alpha, picture = scene()
    found = estimated(picture, alpha)
    assert np.array_equal(found[alpha >= 1], picture[alpha >= 1])


def cut(studio: Any, document: Document, mask: Plane | None, **params: Any) -> Any:
    blobs = {"image": write(document)} | (
        {} if mask is None else {"mask": write(Document((mask * 255).astype(np.uint8)[..., None], SRGB, "png"))}
    )
    names = {field: hashlib.sha256(data).hexdigest() for field, data in blobs.items()}
    asked = {field: {"sha256": name} for field, name in names.items()} | params
    return studio.make("cutout", asked, {names[field]: data for field, data in blobs.items()})


def as_document(picture: Plane, kind: str, dtype: str, channels: int) -> Document:
    values = SRGB.from_linear(picture) if dtype.startswith("u") else picture
    values = values[..., :1] if channels < 3 else values
    if channels in (2, 4):
        values = np.concatenate([values, np.ones_like(values[..., :1])], 2)
    stored = np.round(values * np.iinfo(dtype).max).astype(dtype) if dtype.startswith("u") else values.astype(dtype)
    return Document(stored, SRGB if dtype.startswith("u") else LINEAR, kind)


@pytest.mark.parametrize(
    ("kind", "dtype", "channels"),
    [("png", "uint8", 3), ("png", "uint16", 4), ("png", "uint8", 1), ("tiff", "float32", 3), ("exr", "float16", 4)],
)
def test_a_document_keeps_its_numbers_where_it_is_opaque(studio: Any, kind: str, dtype: str, channels: int) -> None:
    fore, alpha, picture = scene()
    document = as_document(picture, kind, dtype, channels)
    (output,) = cut(studio, document, rough_of(alpha)).outputs
    inks = 3 if channels > 2 else 1
    assert (output.pixels.dtype, output.pixels.shape, output.kind) == (dtype, (SIDE, SIDE, inks + 1), kind)
    largest = np.iinfo(dtype).max if dtype.startswith("u") else 1
    made = output.pixels[..., -1].astype(float) / largest
    opaque = made == 1
    assert opaque.any()
    if dtype.startswith("u"):
        middle = (slice(50, 78), slice(50, 78))
        assert output.pixels[middle][..., :inks].tobytes() == document.pixels[middle][..., :inks].tobytes()
    assert np.abs(made - alpha).mean() < 0.01
    assert not output.pixels[:8].any(), "what is far outside is gone, not hidden"
    if inks == 3:
        light = output.profile.to_linear(output.pixels[..., :3].astype(np.float32) / largest)
        mixed = (alpha > 0.1) & (alpha < 1)
        assert np.abs(light - fore)[mixed].mean() < 0.03


def test_the_matte_alone_and_the_other_side_of_the_mask(studio: Any) -> None:
    _, alpha, picture = scene()
    document = as_document(picture, "png", "uint8", 3)
    matte, other = (
        cut(studio, document, mask, invert=invert, returns="matte").outputs[0]
        for mask, invert in ((rough_of(alpha), False), (1 - rough_of(alpha), True))
    )
    assert matte.pixels.shape == (SIDE, SIDE, 1)
    assert matte.pixels.tobytes() == other.pixels.tobytes()
    assert matte.info["measured"]["box"][0] > 0


def test_without_a_mask_the_edge_of_what_is_transparent_is_found_anew(studio: Any) -> None:
    _, alpha, picture = scene()
    document = as_document(picture, "png", "uint8", 4)
    document.pixels[..., 3] = rough_of(alpha) * 255
    (output,) = cut(studio, document, None, band=7, returns="matte").outputs
    assert np.abs(output.pixels[..., 0] / 255 - alpha).mean() < 0.01


@pytest.mark.parametrize(
    ("mask", "says"), [(np.zeros((SIDE, SIDE)), "black all over"), (np.ones((SIDE, SIDE)), "white all over"), (None, "No mask was given")]
)
def test_mistakes_are_sentences(studio: Any, mask: Plane | None, says: str) -> None:
    _, _, picture = scene()
    with pytest.raises(InvalidRequest, match=says):
        cut(studio, as_document(picture, "png", "uint8", 3), mask)
