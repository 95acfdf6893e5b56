"""The grammar and the captions: what is said is done, what is not understood is said, and captions read back as they were meant."""

from __future__ import annotations

import numpy as np
import pytest

from gesso_plugins.procedural.captions import caption
from gesso_plugins.procedural.chance import random_recipe
from gesso_plugins.procedural.colours import COLOURS, tones_of
from gesso_plugins.procedural.grammar import parse
from gesso_plugins.procedural.recipe import Recipe
from gesso_plugins.procedural.registry import materials
from gesso_plugins.procedural.vocabulary import phrases


def test_there_are_enough_materials_and_colours() -> None:
    assert len(materials()) >= 40
    assert len(COLOURS) >= 13


@pytest.mark.parametrize(
    ("prompt", "recipe"),
    [
        ("mossy red brick wall", Recipe("brick", "red", wear=("mossy",))),
        ("seamless texture of scarlet masonry", Recipe("brick", "red")),
        ("Tileable GRAY cobble-stones, large!", Recipe("cobblestone", "grey", scale="large")),
        ("snowy huge gray cobblestones", Recipe("cobblestone", "grey", scale="large", wear=("snowy",))),
        ("brick, red, worn, wet", Recipe("brick", "red", wear=("worn", "wet"))),
        ("red and white diagonal stripes", Recipe("stripes", "red", second="white", variant="diagonal")),
        ("white polka dots on dark blue", Recipe("polka_dots", "white", second="blue", second_tone="dark")),
        ("blue fabric with white polka dots", Recipe("polka_dots", "white", second="blue")),
        ("green grass with red flowers", Recipe("flower_meadow", "red")),
        ("blue sky with white clouds", Recipe("clouds", "blue", second="white")),
        ("walnut planks, vertical", Recipe("planks", "brown", "dark", variant="vertical")),
        ("oak", Recipe("wood", "brown", "light")),
        ("steel diamond plate", Recipe("diamond_plate", "silver")),
        ("hammered copper metal", Recipe("hammered_metal", "copper")),
        ("gold", Recipe("brushed_metal", "gold")),
        ("navy jeans", Recipe("denim", "blue", "dark")),
    ],
)
def test_prompts_mean_what_people_mean(prompt: str, recipe: Recipe) -> None:
    parsed = parse(prompt, seed=3)
    assert parsed.recipe == recipe
    assert parsed.warnings == ()


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("red marbel wall", 'The word "marbel" is not known and was ignored; perhaps you meant "marble"'),
        ("mosy brick", 'perhaps you meant "mossy"'),
        ("red brick xyzzy", 'The word "xyzzy" is not known and was ignored.'),
        ("a dog", "No known material is named, so plaster was used"),
        ("", "No known material is named"),
        ("brick and marble", 'The material "marble" was left out because a tile has one material, here brick.'),
        ("red blue brick", 'The colour "blue" was left out because brick has one colour.'),
        ("red blue green stripes", 'The colour "green" was left out because stripes has two colours.'),
        ("dark brick", 'The word "dark" was left out because no colour follows it.'),
        ("dark white brick", 'The word "dark" was left out because white has no tones.'),
        ("diagonal red brick", 'The word "diagonal" was left out because brick has no such variant.'),
        ("vertical horizontal red planks", 'The word "horizontal" was left out because "vertical" was said first.'),
        ("small large red brick", 'The size "large" was left out because "small" was said first.'),
    ],
)
def test_nothing_is_ignored_without_a_sentence(prompt: str, sentence: str) -> None:
    warnings = parse(prompt).warnings
    assert any(sentence in warning for warning in warnings), warnings
    assert all(warning.endswith(".") and warning[0].isupper() for warning in warnings)


def test_nothing_is_said_twice() -> None:
    assert len(parse("zzz zzz brick zzz").warnings) == 1


def test_every_phrase_is_understood_by_itself() -> None:
    for phrase, meaning in phrases().items():
        parsed = parse(phrase)
        assert not any("is not known" in warning for warning in parsed.warnings), phrase
        if meaning.kind == "material":
            assert (parsed.recipe.material, parsed.warnings) == (meaning.value[0], ())


def test_every_material_in_every_colour_and_tone_reads_back() -> None:
    for entry in materials().values():
        for colour in COLOURS:
            for tone in tones_of(colour):
                second = "" if entry.second is None else ("blue" if colour != "blue" else "red")
                variant = entry.variants[0] if entry.variants else ""
                recipe = Recipe(entry.name, colour, tone, second, variant=variant)
                assert parse(caption(recipe)).recipe == recipe


def test_random_recipes_read_back() -> None:
    rng = np.random.default_rng(0)
    for entry in materials().values():
        for _ in range(5):
            recipe = random_recipe(entry, rng)
            parsed = parse(caption(recipe), int(rng.integers(1000)))
            assert (parsed.recipe, parsed.warnings) == (recipe, ())


def test_varied_captions_keep_the_material_and_say_nothing_wrong() -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for entry in materials().values():
        for _ in range(8):
            recipe = random_recipe(entry, rng)
            text = caption(recipe, rng)
            seen.add(text)
            read = parse(text)
            assert read.warnings == ()
            assert read.recipe.material == recipe.material
            assert set(read.recipe.wear) <= set(recipe.wear)
            assert read.recipe.scale in (recipe.scale, "medium")
    assert len(seen) > 6 * len(materials())


def test_varied_captions_leave_some_attributes_out() -> None:
    rng = np.random.default_rng(2)
    recipe = Recipe("brick", "red", wear=("mossy",))
    read = [parse(caption(recipe, rng)).recipe for _ in range(400)]
    dropped = sum(one.wear == () for one in read) / len(read)
    assert 0.08 < dropped < 0.24


def test_the_seed_settles_what_the_prompt_leaves_open() -> None:
    assert parse("tiles", 5) == parse("tiles", 5)
    assert len({parse("tiles", seed).recipe.colour for seed in range(30)}) > 5
    assert len({parse("stripes", seed).recipe.variant for seed in range(30)}) == 3
    assert {parse("brick", seed).recipe.scale for seed in range(30)} == {"medium"}
