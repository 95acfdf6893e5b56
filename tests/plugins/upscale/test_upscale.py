"""`upscale`: exact on the way back, seamless where it was seamless, transparent where it was transparent, clear where it cannot."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from gesso.engine import Windows
from gesso.errors import InvalidRequest, PluginError
from gesso.media import documents, images
from gesso.media.documents import Document
from gesso.media.profile import SRGB
from gesso.plugin import UpscalerSpec
from gesso_plugins.scoring import seam
from gesso_plugins.upscale.classical import enlarged, projected


def png(pixels: np.ndarray) -> tuple[str, bytes]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return hashlib.sha256(file.getvalue()).hexdigest(), file.getvalue()


def upscaled(studio: Any, pixels: np.ndarray, **params: Any) -> np.ndarray:
    name, data = png(pixels)
    (output,) = studio.make("upscale", {"image": {"sha256": name}, **params}, {name: data}).outputs
    made: np.ndarray = output.pixels
    return made


@pytest.fixture
def stone(studio: Any) -> np.ndarray:
    params = {"prompt": "mossy grey cobblestone", "seed": 5, "width": 64, "height": 48, "tile": "xy", "model": "procedural"}
    pixels: np.ndarray = studio.make("generate", params).outputs[0].pixels
    return pixels


@pytest.mark.parametrize("scale", [2, 3])
def test_back_projection_scaled_down_is_the_picture_that_went_in(stone: np.ndarray, scale: int) -> None:
    pixels = stone.astype(np.float32) / 255

    def lost(made: np.ndarray) -> float:
        averaged = made.reshape(48, scale, 64, scale, 3).mean(axis=(1, 3))
        return float(np.abs(averaged - pixels).mean())

    assert lost(projected(pixels, scale)) < 1 / 255
    assert lost(projected(pixels, scale)) < lost(np.clip(enlarged(pixels, scale), 0, 1)) / 3


@pytest.mark.parametrize("upscaler", ["lanczos", "Back projection"])
def test_what_wraps_around_still_does(studio: Any, stone: np.ndarray, upscaler: str) -> None:
    whole = upscaled(studio, stone, scale=3, tile="xy", upscaler=upscaler)
    assert whole.shape == (144, 192, 3)
    shifted = upscaled(studio, np.roll(stone, (20, 31), (0, 1)), scale=3, tile="xy", upscaler=upscaler)
    off = np.abs(np.roll(whole, (60, 93), (0, 1)).astype(int) - shifted)
    assert off.max() <= 1, "where the picture is cut makes no difference"
    assert seam.measured(whole, "xy") > 0.7
    cut = upscaled(studio, np.roll(stone, (20, 31), (0, 1)), scale=3, upscaler=upscaler)
    assert np.abs(np.roll(whole, (60, 93), (0, 1)).astype(int) - cut).max() > 1


def test_transparency_is_kept_and_does_not_bleed(studio: Any) -> None:
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[..., 1] = 255  # green where nobody sees it
    pixels[4:12, 4:12] = (255, 0, 0, 255)
    made = upscaled(studio, pixels, scale=2)
    assert made.shape == (32, 32, 4)
    assert made[0, 0, 3] == 0
    assert tuple(made[16, 16, :3]) == (255, 0, 0)
    assert made[16, 16, 3] > 250
    assert made[made[..., 3] > 8][:, 1].max() <= 2, "no green comes out of the transparent part"


@pytest.fixture
def tiny(studio: Any, pipelines: Any) -> Any:
    studio.add("tiny", pipelines("epsilon"))
    return studio


PAINTED = {"upscaler": "tiled_diffusion", "model": "tiny", "steps": 4, "seed": 3, "window": 64, "scale": 4}


def grid(pixels: np.ndarray, axis: int, window: int) -> float:
    """The mean step across the edges of the windows of the first step against that of all places."""
    steps = np.abs(np.diff(pixels.astype(float), axis=axis)).mean(axis=(1 - axis, 2))
    places = windows_of_the_first_step(pixels.shape[axis], window)
    return float(steps[places].mean() / np.median(steps))


def windows_of_the_first_step(length: int, window: int, factor: int = 2) -> list[int]:
    spans = {(int(rows[0]), int(rows[-1])) for rows, _ in Windows(length // factor, length // factor, window // factor).places()}
    found = {edge for first, last in spans for edge in (first * factor - 1, (last + 1) * factor - 1)}
    return sorted(edge for edge in found if 0 <= edge < length - 1)


def test_painted_detail_shows_no_grid(tiny: Any, stone: np.ndarray) -> None:
    made = upscaled(tiny, stone, **PAINTED)
    assert made.shape == (192, 256, 3)
    assert np.array_equal(made, upscaled(tiny, stone, **PAINTED))
    assert not np.array_equal(made, upscaled(tiny, stone, **{**PAINTED, "seed": 4}))
    assert 0.8 < grid(made, 0, 64) < 1.2
    assert 0.8 < grid(made, 1, 64) < 1.2
    cut = made.copy()
    for edge in windows_of_the_first_step(256, 64):
        cut[:, edge + 1 :] = np.clip(cut[:, edge + 1 :].astype(int) + (30 if edge % 3 else -30), 0, 255)
    assert grid(cut, 1, 64) > 1.1 * grid(made, 1, 64), "a tone of each window's own would be seen"


def test_painting_keeps_the_picture_s_broad_colours(tiny: Any, stone: np.ndarray) -> None:
    made = upscaled(tiny, stone, **PAINTED)
    plain = upscaled(tiny, stone, scale=4, upscaler="lanczos")
    assert not np.array_equal(made, plain)
    broad = [ndimage.uniform_filter(pixels.astype(float), (64, 64, 0))[32:-32, 32:-32] for pixels in (made, plain)]
    assert np.abs(broad[0] - broad[1]).mean() < 4


def test_what_wraps_still_does_when_it_is_painted(tiny: Any, stone: np.ndarray) -> None:
    made = upscaled(tiny, stone, tile="xy", **PAINTED)
    assert seam.measured(made, "xy") > 0.5
    odd = upscaled(tiny, stone[:45, :63], tile="x", **{**PAINTED, "scale": 3, "window": 80})
    assert odd.shape == (135, 189, 3)


def test_painting_leaves_transparency_alone(tiny: Any) -> None:
    pixels = np.full((24, 24, 4), 128, np.uint8)
    pixels[:, :12, 3] = 0
    made = upscaled(tiny, pixels, **PAINTED)
    plain = upscaled(tiny, pixels, scale=4, upscaler="lanczos")
    assert np.array_equal(made[..., 3], plain[..., 3])


def test_what_is_asked_of_a_painter_only_is_dropped_elsewhere(tiny: Any) -> None:
    image = {"image": {"sha256": "0" * 64}}
    resolved, warnings = tiny.resolve("upscale", {**image, "prompt": "stone", "seed": 9})
    assert (resolved.prompt, resolved.seed) == ("", None)
    assert "does not use prompt" in warnings[0]
    painted, warnings = tiny.resolve("upscale", {**image, "seed": 9, "upscaler": "Tiled diffusion", "model": "tiny"})
    assert (painted.sampler, painted.steps, painted.seed, warnings) == ("dpmpp_2m", 20, 9, [])


def test_painting_has_a_largest_size(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesso_plugins.upscale.diffusion.LARGEST", 100)
    with pytest.raises(InvalidRequest) as caught:
        upscaled(tiny, np.zeros((40, 30, 3), np.uint8), **PAINTED)
    assert (caught.value.field, caught.value.details["most"]) == ("scale", 2)


def test_too_large_a_picture_says_how_far_it_can_go(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 64 * 9)
    with pytest.raises(InvalidRequest) as caught:
        upscaled(studio, np.zeros((64, 64, 3), np.uint8), scale=4)
    assert (caught.value.field, caught.value.details["most"]) == ("scale", 3)


def test_an_upscaler_that_gives_something_else_is_named(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def same(ctx: Any) -> Any:
        yield from ()
        return ctx.pixels

    monkeypatch.setattr(type(studio.registry), "upscaler", lambda *_: UpscalerSpec("lazy", same, "Lazy", "none"))
    monkeypatch.setattr(type(studio.registry), "options_of", lambda *_: {})
    with pytest.raises(PluginError, match="'lazy' gave"):
        upscaled(studio, np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("change", "field"), [({"upscaler": "lanczo"}, "upscaler"), ({"scale": 1}, "scale"), ({"scale": 9}, "scale"), ({"tile": "z"}, "tile")]
)
def test_bad_values_name_their_field(studio: Any, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        studio.resolve("upscale", {"image": {"sha256": "0" * 64}, **change})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("kind", "dtype", "channels"), [("png", "uint16", 3), ("png", "uint8", 1), ("tiff", "float32", 4), ("exr", "float16", 3)]
)
def test_a_document_keeps_its_depth_channels_and_profile(studio: Any, kind: str, dtype: str, channels: int) -> None:
    y, x = np.mgrid[:24, :32] / 32
    values = np.stack([0.2 + 0.6 * x, 0.7 - 0.5 * y, 0.4 + 0.2 * x * y, np.ones_like(x)], 2)[..., :channels]
    if dtype.startswith("f"):
        values[..., 0] *= 3  # brighter than white
    stored = (values * np.iinfo(dtype).max).astype(dtype) if dtype.startswith("u") else values.astype(dtype)
    data = documents.write(Document(stored, SRGB, kind))
    name = hashlib.sha256(data).hexdigest()
    (output,) = studio.make("upscale", {"image": {"sha256": name}, "scale": 2}, {name: data}).outputs
    assert (output.pixels.dtype, output.pixels.shape, output.kind) == (dtype, (48, 64, channels), kind)
    assert output.profile.name == documents.read(data).profile.name
    largest = np.iinfo(dtype).max if dtype.startswith("u") else 1
    averaged = output.pixels.astype(np.float64).reshape(24, 2, 32, 2, channels).mean((1, 3)) / largest
    assert np.abs(averaged - stored / largest).mean() < 2e-3
    if dtype == "uint16":
        assert (output.pixels % 257 != 0).mean() > 0.9, "nothing in between has eight bits"
