"""The render function: determinism, sizes, limits, offsets."""

from __future__ import annotations

import numpy as np
import pytest

from gesso_plugins.procedural.maps import shade
from gesso_plugins.procedural.recipe import Recipe
from gesso_plugins.procedural.registry import find_material
from gesso_plugins.procedural.render import render

MOSSY = Recipe("cobblestone", "grey", wear=("cracked", "mossy"))


def bytes_of(recipe: Recipe, seed: int) -> bytes:
    maps = render(recipe, 48, 48, seed)
    return b"".join(getattr(maps, layer).tobytes() for layer in ("base_color", "height", "normal", "roughness"))


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert bytes_of(MOSSY, 4) == bytes_of(MOSSY, 4)


def test_another_seed_gives_another_tile() -> None:
    assert bytes_of(MOSSY, 4) != bytes_of(MOSSY, 5)


def test_the_global_generator_is_left_alone() -> None:
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    render(MOSSY, 32, 32, 0)
    assert (np.random.get_state(legacy=False)["state"]["key"] == before).all()


def test_another_colour_keeps_the_layout() -> None:
    first, second = (render(Recipe("brick", colour), 64, 64, 2).height for colour in ("red", "white"))
    assert (first == second).all()


@pytest.mark.parametrize(("width", "height"), [(16, 16), (17, 31), (128, 16), (16, 200), (250, 100), (100, 250)])
@pytest.mark.parametrize("name", ["stone_wall", "pavers", "knit", "leaves"])
def test_any_size_can_be_rendered(name: str, width: int, height: int) -> None:
    recipe = Recipe(name, "grey")
    assert shade(render(recipe, width, height, 1)).shape == (height, width, 3)


def test_a_large_size_can_be_rendered() -> None:
    assert render(Recipe("knit", "grey"), 1024, 1024, 1).normal.shape == (1024, 1024, 3)


@pytest.mark.parametrize("name", ["tiles", "hexagon_tiles", "polka_dots", "pebbles"])
def test_a_wide_tile_repeats_features_instead_of_stretching_them(name: str) -> None:
    """Along both axes of a 4:1 tile the picture changes at about the same rate."""
    maps = render(Recipe(name, "red", second="white" if find_material(name).second is not None else ""), 256, 64, 3)
    grey = maps.base_color.mean(axis=2)
    right, down = np.abs(np.diff(grey, axis=1)).mean(), np.abs(np.diff(grey, axis=0)).mean()
    assert 0.6 < right / down < 1.6


@pytest.mark.parametrize(("width", "height"), [(15, 64), (64, 4097), (0, 0), (-5, 64)])
def test_sizes_out_of_bounds_are_refused_with_a_sentence(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=r"must be between 16 and 4096 pixels"):
        render(MOSSY, width, height, 0)


def test_a_negative_seed_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"The seed must not be negative"):
        render(MOSSY, 64, 64, -1)


def test_an_unknown_material_is_refused_with_the_list_of_the_known() -> None:
    with pytest.raises(ValueError, match=r"no material named 'marzipan'; the materials are brick"):
        Recipe("marzipan", "red")


@pytest.mark.parametrize(("field", "value"), [("colour", "mauvish"), ("scale", "gigantic"), ("wear", ("sticky",)), ("variant", "round")])
def test_a_recipe_with_an_unknown_value_is_refused_with_a_sentence(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"is not one of"):
        Recipe(**({"material": "brick", "colour": "red"} | {field: value}))  # type: ignore[arg-type]


def test_without_supersampling_the_tile_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the picture is a little crisper, not another one."""
    fine = shade(render(MOSSY, 96, 96, 1))
    monkeypatch.setattr("gesso_plugins.procedural.render.SUPERSAMPLED", 64)
    plain = shade(render(MOSSY, 96, 96, 1))
    assert (plain != fine).any()
    assert np.corrcoef(plain.ravel(), fine.ravel())[0, 1] > 0.93
