"""The maps against what they are defined by: unit normals from the height's slope, occlusion in hollows, light from the upper left."""

from __future__ import annotations

import numpy as np
import pytest

from gesso_plugins.procedural.arrays import float32
from gesso_plugins.procedural.maps import Maps, assemble, shade, to_uint8
from gesso_plugins.procedural.recipe import Recipe
from gesso_plugins.procedural.render import render
from gesso_plugins.procedural.surface import Surface

SIZE = 64


def surface_of(height: np.ndarray, relief: float) -> Surface:
    return Surface(np.full((3, *height.shape), 0.5, np.float32), float32(height), relief=relief)


def hill() -> np.ndarray:
    x = (np.arange(SIZE) + 0.5) / SIZE
    return np.cos(2.0 * np.pi * x)[None, :] + np.cos(2.0 * np.pi * x)[:, None]


@pytest.mark.parametrize("name", ["brick", "sand", "scales", "chainmail", "snow"])
def test_normals_are_of_unit_length(name: str) -> None:
    normal = render(Recipe(name, "grey"), SIZE, SIZE, 1).normal * 2.0 - 1.0
    assert np.abs(np.linalg.norm(normal, axis=2) - 1.0).max() < 1e-4
    assert normal[..., 2].min() > 0.0


@pytest.mark.parametrize("name", ["brick", "sand", "scales"])
def test_normals_agree_with_the_slope_of_the_height(name: str) -> None:
    """Height, times relief, differentiated with wrap, gives the normal map, +Y up."""
    maps = render(Recipe(name, "grey"), 96, SIZE, 1)
    height = maps.height * maps.relief * SIZE / 2.0
    right = np.roll(height, -1, 1) - np.roll(height, 1, 1)
    up = np.roll(height, 1, 0) - np.roll(height, -1, 0)
    normal = maps.normal * 2.0 - 1.0
    assert np.abs(-normal[..., 0] / normal[..., 2] - right).max() < 2e-3
    assert np.abs(-normal[..., 1] / normal[..., 2] - up).max() < 2e-3


def test_a_slope_facing_up_the_picture_has_green_above_a_half() -> None:
    maps = assemble(surface_of(hill(), 0.05), 1)
    assert maps.normal[SIZE // 4, 0, 1] < 0.5 < maps.normal[3 * SIZE // 4, 0, 1]


def test_hollows_are_occluded_and_tops_are_not() -> None:
    ditch = np.ones((SIZE, SIZE))
    ditch[:, 20:24] = 0.0
    occlusion = assemble(surface_of(ditch, 0.05), 1).ambient_occlusion
    assert occlusion[:, 22].max() < 0.8
    assert occlusion[:, 50].min() > 0.99


def test_a_flat_surface_is_half_high_open_and_lit_as_it_is() -> None:
    maps = assemble(surface_of(np.zeros((SIZE, SIZE)), 0.02), 2)
    assert (maps.height == 0.5).all()
    assert maps.relief == 0.0
    assert (maps.ambient_occlusion == 1.0).all()
    assert np.abs(shade(maps) - 0.5).max() < 0.02


def test_light_comes_from_the_upper_left() -> None:
    picture = shade(assemble(surface_of(hill(), 0.08), 1)).mean(axis=2)
    lower_right, upper_left = picture[SIZE // 4, SIZE // 4], picture[3 * SIZE // 4, 3 * SIZE // 4]
    assert upper_left > lower_right


def test_what_glows_is_not_shaded() -> None:
    surface = surface_of(hill() * 4.0, 0.2)
    surface.glow = 1.0
    assert np.abs(shade(assemble(surface, 1)) - 0.5).max() < 1e-3


def test_the_area_filter_is_the_mean_of_each_block() -> None:
    maps = assemble(Surface(np.full((3, 4, 4), 0.25, np.float32), float32(np.arange(16).reshape(4, 4)), roughness=float32(np.eye(4))), 2)
    assert maps.roughness == pytest.approx(np.array([[0.5, 0.0], [0.0, 0.5]]))
    assert maps.base_color == pytest.approx(0.25)
    assert maps.base_color.shape == (2, 2, 3)


def test_bytes_are_rounded_to_the_nearest() -> None:
    assert to_uint8(float32([[[0.0, 0.5, 1.0]]])).tolist() == [[[0, 128, 255]]]


def test_maps_are_frozen() -> None:
    maps = assemble(surface_of(hill(), 0.05), 1)
    with pytest.raises(AttributeError):
        maps.relief = 1.0  # type: ignore[misc]
    assert isinstance(maps, Maps)
