"""From a recipe to a caption: plain and complete without a random generator, as varied as people write with one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .chance import one_of
from .grammar import parse
from .recipe import Recipe
from .registry import find_material
from .vocabulary import COLOUR_WORDS, SCALE_WORDS, SUBSTANCE_WORDS, TONE_WORDS, WEAR_WORDS

DROPPED = 0.15
"""How often a varied caption leaves an attribute out."""

TEMPLATES = (
    "{}",
    "{}",
    "{}",
    "seamless texture of {}",
    "a seamless texture of {}",
    "tileable {}",
    "{} texture",
    "seamless {} texture",
    "tileable texture of {}",
    "{} surface",
    "a photo of {}",
    "{} material",
)


def caption(recipe: Recipe, rng: np.random.Generator | None = None) -> str:
    """A caption that parses back to the recipe; with `rng` a varied one, which may leave attributes out but keeps the material."""
    if rng is None:
        return _plain(recipe)
    varied = _varied(recipe, rng)
    understood = parse(varied)
    if understood.recipe.material == recipe.material and not understood.warnings:
        return varied
    return _plain(recipe)


def _plain(recipe: Recipe) -> str:
    """Wear, scale, variant, colours, material, each by its first name."""
    noun = find_material(recipe.material).words[0]
    scale = "" if recipe.scale == "medium" else recipe.scale
    colours = f"{recipe.tone} {recipe.colour}"
    if recipe.second:
        colours += f" and {recipe.second_tone} {recipe.second}"
    return _joined(*recipe.wear, scale, recipe.variant, colours, noun)


def _varied(recipe: Recipe, rng: np.random.Generator) -> str:
    """Synonyms, shuffled attributes, templates, omissions."""
    noun = one_of(rng, find_material(recipe.material).words)
    attributes = [one_of(rng, words_for("wear", name)) for name in recipe.wear]
    if recipe.scale != "medium":
        attributes.append(one_of(rng, words_for("scale", recipe.scale)))
    if recipe.variant:
        attributes.append(recipe.variant)
    kept = [word for word in attributes if rng.random() >= DROPPED]
    order = rng.permutation(len(kept))
    kept = [kept[index] for index in order]
    phrase = _coloured(recipe, noun, kept, rng)
    return one_of(rng, TEMPLATES).format(phrase)


def _coloured(recipe: Recipe, noun: str, attributes: list[str], rng: np.random.Generator) -> str:
    """Put colours, attributes and noun together in one of a few orders."""
    theme = find_material(recipe.material).theme
    main = "" if rng.random() < DROPPED else _colour_words(recipe.colour, recipe.tone, theme, rng)
    second = "" if not recipe.second or rng.random() < DROPPED else _colour_words(recipe.second, recipe.second_tone, theme, rng)
    if second and (not main or rng.random() < 0.4):
        return _joined(*attributes, main, noun, f"on {second}")
    colours = f"{main} and {second}" if main and second else main
    style = rng.random()
    if style < 0.70:
        return _joined(*attributes, colours, noun)
    if style < 0.85 and not second:
        return _joined(colours, *attributes, noun)
    trailing = ", ".join(word for word in (*attributes, colours) if word)
    return f"{noun}, {trailing}" if trailing else noun


def _colour_words(colour: str, tone: str, theme: str, rng: np.random.Generator) -> str:
    """Words for a colour in a tone: its own name mostly, sometimes a synonym that means the same."""
    synonyms = words_for("colour", colour, tone) + _substances(colour, tone, theme)
    if synonyms and rng.random() < 0.35:
        return one_of(rng, synonyms)
    return _joined(one_of(rng, words_for("tone", tone)) if tone else "", colour)


@lru_cache(maxsize=256)
def words_for(kind: str, name: str, tone: str = "") -> tuple[str, ...]:
    """Every word that means exactly this."""
    if kind == "colour":
        return tuple(word for word, value in COLOUR_WORDS.items() if value == (name, tone))
    tables = {"wear": WEAR_WORDS, "scale": SCALE_WORDS, "tone": TONE_WORDS}
    return tuple(word for word, value in tables[kind].items() if value == name)


@lru_cache(maxsize=256)
def _substances(colour: str, tone: str, theme: str) -> tuple[str, ...]:
    """Substances of this colour that the things of a theme are made of: oak for boards, steel for plates."""
    matching = ((word, value) for word, value in SUBSTANCE_WORDS.items() if value[:2] == (colour, tone))
    return tuple(word for word, value in matching if find_material(value[2]).theme == theme)


def _joined(*parts: str) -> str:
    return " ".join(" ".join(parts).split())
