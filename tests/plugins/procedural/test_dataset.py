"""The training source: what a sample holds, and that it depends on its generator alone."""

from __future__ import annotations

import numpy as np
import pytest

from gesso.media.relief import normals
from gesso_plugins.procedural import dataset
from gesso_plugins.procedural.chance import random_recipe
from gesso_plugins.procedural.dataset import ProceduralSource
from gesso_plugins.procedural.grammar import parse
from gesso_plugins.procedural.maps import Maps, shade, to_uint8
from gesso_plugins.procedural.recipe import Recipe
from gesso_plugins.procedural.registry import find_material
from gesso_plugins.procedural.render import render
from gesso_plugins.procedural.variety import varied

SOURCE = ProceduralSource()


def test_a_sample_is_a_picture_with_a_caption_and_labels() -> None:
    sample = SOURCE.sample(np.random.default_rng(1), 32)
    assert sample.image.dtype == np.uint8
    assert sample.image.shape == (32, 32, 3)
    assert set(sample.labels) == {"material", "colour"}
    assert sample.labels["material"] in SOURCE.materials
    assert sample.labels["colour"] in SOURCE.colours
    assert parse(sample.caption).recipe.material == sample.labels["material"]


def test_the_generator_decides_everything() -> None:
    first, second = (SOURCE.sample(np.random.default_rng(9), 32) for _ in range(2))
    assert (first.image == second.image).all()
    assert (first.caption, first.labels) == (second.caption, second.labels)


def test_materials_can_be_chosen() -> None:
    rng = np.random.default_rng(2)
    assert {SOURCE.sample(rng, 16, ("brick", "sand")).labels["material"] for _ in range(20)} == {"brick", "sand"}


def test_an_unknown_material_is_refused() -> None:
    with pytest.raises(ValueError, match="no material named"):
        SOURCE.sample(np.random.default_rng(2), 16, ("marzipan",))


def test_every_material_and_colour_can_come_up() -> None:
    rng = np.random.default_rng(3)
    entries = [find_material(name) for name in SOURCE.materials]
    assert {random_recipe(one, rng).colour for one in entries for _ in range(3)} == set(SOURCE.colours)


def test_layouts_hold_seeds_and_places_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, Maps]] = []

    def watched(recipe: Recipe, width: int, height: int, seed: int) -> Maps:
        drawn.append((seed, render(recipe, width, height, seed)))
        return drawn[-1][1]

    monkeypatch.setattr(dataset, "render", watched)
    held, rng = SOURCE.with_layouts(2), np.random.default_rng(4)
    samples = [held.sample(rng, 16, ("brick",)) for _ in range(20)]
    assert {seed for seed, _ in drawn} == {0, 1}
    for sample, (_, maps) in zip(samples, drawn, strict=True):
        assert np.array_equal(sample.image, np.roll(to_uint8(shade(maps)), (3, 5), (0, 1)))
    assert [sample.labels["layout"] for sample in samples] == [str(seed) for seed, _ in drawn]
    assert "layout" not in SOURCE.sample(rng, 16, ("brick",)).labels
    assert len({sample.labels["colour"] for sample in samples}) > 3
    assert SOURCE.layouts is None


def test_variety_gives_a_relief_other_colours_and_lights_it_anew() -> None:
    rng = np.random.default_rng(7)
    shape, surface = (render(random_recipe(find_material(name), rng), 32, 32, 1) for name in ("brick", "plaid"))
    made = varied(shape, surface, rng)
    turns = [np.rot90(plane, k) for k in range(4) for plane in (shape.height, shape.height[:, ::-1])]
    (turned,) = (plane for plane in turns if np.array_equal(plane, made.height))
    assert np.array_equal(made.normal, normals(turned * np.float32(made.relief)))
    assert 0.5 < made.relief / shape.relief < 2
    assert sorted(made.base_color.ravel()) == sorted(surface.base_color.ravel())
    assert not np.array_equal(shade(made), shade(shape))


def test_variety_touches_its_share_of_the_samples_with_maps() -> None:
    half = SOURCE.with_variety(0.5)
    heights = [
        [np.sort(source.sample_maps(np.random.default_rng(i), 16).maps["height"], axis=None) for i in range(40)]
        for source in (SOURCE, half)
    ]
    kept = [np.array_equal(plain, other) for plain, other in zip(*heights, strict=True)]
    assert 10 < sum(kept) < 30, "a relief that is only rolled has the same heights"
    whole = SOURCE.with_variety(1.0).sample_maps(np.random.default_rng(3), 32, ("brick",))
    assert whole.maps["height"].shape == (32, 32)
    assert np.array_equal(half.sample(np.random.default_rng(2), 16).image, SOURCE.sample(np.random.default_rng(2), 16).image)
