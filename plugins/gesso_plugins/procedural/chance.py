"""What is left to chance: colours a material usually has, and whole recipes for training. It reads no prompt and draws no picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .colours import COLOURS, tones_of
from .recipe import WEARS, Recipe
from .registry import Material

USUAL = 0.6
"""How often a random recipe keeps to a material's usual colours."""


def one_of(rng: np.random.Generator, options: Sequence[str]) -> str:
    """One of the options; repeats weigh more."""
    return options[int(rng.integers(len(options)))]


def chosen_colour(entry: Material, rng: np.random.Generator, avoid: str = "") -> str:
    """A usual colour of a material, other than `avoid` where it can be; the first is the commonest."""
    if entry.colours and entry.colours[0] != avoid and rng.random() < 0.5:
        return entry.colours[0]
    options = [name for name in entry.colours or COLOURS if name != avoid]
    return one_of(rng, options or COLOURS)


def chosen_second(entry: Material, rng: np.random.Generator, avoid: str) -> str:
    """A usual second colour, other than `avoid`."""
    options = [name for name in entry.second or COLOURS if name != avoid]
    return one_of(rng, options or [name for name in COLOURS if name != avoid])


def random_recipe(entry: Material, rng: np.random.Generator) -> Recipe:
    """A recipe of a material as a training set wants it: mostly usual, sometimes odd, evenly varied."""
    colour = chosen_colour(entry, rng) if rng.random() < USUAL else one_of(rng, COLOURS)
    second, second_tone = "", ""
    if entry.second is not None:
        second = chosen_second(entry, rng, colour) if rng.random() < USUAL else one_of(rng, [n for n in COLOURS if n != colour])
        second_tone = _tone(second, rng)
    return Recipe(
        material=entry.name,
        colour=colour,
        tone=_tone(colour, rng),
        second=second,
        second_tone=second_tone,
        scale=one_of(rng, ("medium", "medium", "small", "large")),
        variant=one_of(rng, entry.variants) if entry.variants else "",
        wear=_wear(entry, rng),
    )


def _tone(colour: str, rng: np.random.Generator) -> str:
    return one_of(rng, tones_of(colour)) if rng.random() < 0.4 else ""


def _wear(entry: Material, rng: np.random.Generator) -> tuple[str, ...]:
    if not entry.wear or rng.random() > 0.35:
        return ()
    count = 2 if rng.random() < 0.1 else 1
    chosen = {one_of(rng, entry.wear) for _ in range(count)}
    return tuple(name for name in WEARS if name in chosen)
