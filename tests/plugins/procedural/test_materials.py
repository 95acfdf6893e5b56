"""Every material: periodic to the last pixel, the same tile at every size, the right ranges, and unlike the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gesso_plugins.procedural import registry
from gesso_plugins.procedural.arrays import Field, float32, mix
from gesso_plugins.procedural.canvas import Canvas
from gesso_plugins.procedural.maps import Maps, shade
from gesso_plugins.procedural.recipe import SCALES, WEARS, Recipe
from gesso_plugins.procedural.registry import find_material, materials
from gesso_plugins.procedural.render import render
from gesso_plugins.procedural.surface import Surface

NAMES = tuple(materials())
LAYERS = ("base_color", "height", "normal", "roughness", "metallic", "ambient_occlusion", "emission")


def recipe_of(name: str, scale: str = "medium", variant: str = "") -> Recipe:
    entry = find_material(name)
    second = "blue" if entry.second is not None else ""
    return Recipe(name, "red", second=second, scale=scale, variant=variant or "".join(entry.variants[:1]))


def recipes_of(name: str) -> list[Recipe]:
    looks = find_material(name).variants or ("",)
    return [recipe_of(name, scale, look) for scale in SCALES for look in looks]


def differing(first: Maps, second: Maps, shift: tuple[int, int]) -> float:
    """The largest share of pixels, over all maps, by which a rolled render differs from a moved one."""
    shares = []
    for layer in LAYERS:
        rolled = np.roll(getattr(first, layer), (-shift[1], -shift[0]), (0, 1))
        shares.append(float(np.mean(np.abs(rolled - getattr(second, layer)) > 5e-3)))
    return max(shares)


def wraps(recipe: Recipe, width: int = 48, height: int = 32) -> bool:
    """Whether a window moved beyond the border sees what a rolled tile shows: coordinates there pass 1, so nothing is wrapped for free."""
    shift = (width // 4, height // 2)
    return differing(render(recipe, width, height, 7), render(recipe, width, height, 7, offset=shift), shift) < 4e-3


@pytest.mark.parametrize("name", NAMES)
def test_every_material_wraps_exactly(name: str) -> None:
    for recipe in recipes_of(name):
        assert wraps(recipe), recipe


@pytest.mark.parametrize("wear", WEARS)
def test_every_wear_wraps_exactly(wear: str) -> None:
    assert wraps(replace(recipe_of("brick"), wear=(wear,)))


@pytest.mark.parametrize("name", NAMES)
def test_no_seam_shows_where_the_tile_meets_itself(name: str) -> None:
    """The step across the border lies within the steps inside, on several seeds."""
    for seed in range(3):
        picture = shade(render(recipe_of(name), 64, 64, seed))
        for axis in (0, 1):
            steps = np.abs(picture - np.roll(picture, 1, axis)).mean(axis=(1 - axis, 2))
            assert steps[0] <= steps[1:].max() * 1.15 + 0.01, (seed, axis)


def odd_bond(canvas: Canvas) -> Surface:
    """Three rows in a half bond, which cannot close."""
    row: Field = np.floor(canvas.v * 3.0) % 2.0
    across = (canvas.u * 4.0 + 0.5 * row) % 1.0
    joint = float32(np.minimum(across, 1.0 - across) < 0.1)
    return Surface(mix(canvas.main, canvas.second * 0.2, joint), joint)


def unwrapped_slope(canvas: Canvas) -> Surface:
    """A height that rises across the tile and drops at the border."""
    slope = canvas.u + canvas.v
    return Surface(mix(canvas.main, canvas.second * 0.2, slope * np.float32(0.5)), slope)


@pytest.mark.parametrize("painter", [odd_bond, unwrapped_slope])
def test_the_test_of_wrapping_catches_a_broken_material(painter: Callable[[Canvas], Surface], monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(find_material("brick"), name="broken", painter=painter)
    monkeypatch.setitem(registry._MATERIALS, "broken", broken)
    assert not wraps(Recipe("broken", "red"))


@pytest.mark.parametrize("name", NAMES)
def test_a_larger_render_shows_the_same_tile(name: str) -> None:
    """Halved with an area filter, the render at 128 is the render at 64, but for the detail that 64 cannot hold."""
    recipe = recipe_of(name)
    small = shade(render(recipe, 64, 64, 3))
    halved = shade(render(recipe, 128, 128, 3)).reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    likeness = np.corrcoef(small.ravel(), halved.ravel())[0, 1]
    assert likeness > 0.9 or np.abs(small - halved).mean() < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_maps_are_float32_in_range(name: str) -> None:
    maps = render(recipe_of(name), 40, 24, 1)
    for layer in LAYERS:
        values = getattr(maps, layer)
        assert values.dtype == np.float32
        assert values.shape == (24, 40, 3)[: values.ndim]
        assert np.isfinite(values).all()
        assert values.min() >= 0.0
        assert values.max() <= 1.0
    picture = shade(maps)
    assert picture.dtype == np.float32
    assert picture.shape == (24, 40, 3)
    assert 0.0 <= picture.min() <= picture.max() <= 1.0


@pytest.mark.parametrize("name", NAMES)
def test_colour_follows_the_recipe(name: str) -> None:
    """A red one is redder than a blue one, whatever the material."""
    red, blue = (render(replace(recipe_of(name), colour=colour), 32, 32, 5).base_color.mean(axis=(0, 1)) for colour in ("red", "blue"))
    assert red[0] - red[2] > blue[0] - blue[2] + 0.02


def features(picture: Field) -> Field:
    """What a simple eye sees regardless of colour: the grey picture's spectrum in rings and wedges, and its contrast."""
    grey = picture.mean(axis=2)
    grey = grey - grey.mean()
    power = np.abs(np.fft.fft2(grey)) ** 2
    fy, fx = np.meshgrid(np.fft.fftfreq(64, 1 / 64), np.fft.fftfreq(64, 1 / 64), indexing="ij")
    ring = np.minimum(np.log2(np.hypot(fx, fy) + 1.0) * 2.0, 9.0).astype(int)
    wedge = (np.arctan2(fy, fx) % np.pi / np.pi * 8.0).astype(int) % 8
    table = np.bincount((ring * 8 + wedge).ravel(), power.ravel(), 80)
    skew = (grey**3).mean() / (grey.std() ** 3 + 1e-6)
    return np.concatenate((np.log(table + 1.0), [np.log(grey.std() + 1e-3) * 4.0, skew * 2.0]))


def test_materials_can_be_told_apart_at_64_pixels() -> None:
    """Nearest class mean on a colour-blind spectrum, trained on four pictures of each, is right far more often than chance (1 %)."""
    known = np.stack([[features(shade(render(recipe_of(name), 64, 64, seed))) for seed in range(4)] for name in NAMES])
    centre, spread = known.mean(axis=1), known.std(axis=1).mean(axis=0) + 0.1
    right = 0
    for index, name in enumerate(NAMES):
        away = np.abs((features(shade(render(recipe_of(name), 64, 64, 99))) - centre) / spread).sum(axis=1)
        right += index in np.argsort(away)[:3]
    assert right / len(NAMES) > 0.75
