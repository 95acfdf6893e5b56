"""`upscale`: exact on the way back, seamless where it was seamless, transparent where it was transparent, clear where it cannot."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso.errors import InvalidRequest, PluginError
from gesso.media import images
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
