"""From a prompt to a recipe: a small caption grammar in which nothing is ignored without a word about it. It draws nothing.

Words are matched to the longest known phrase, in any order. What the prompt leaves open is settled by the seed.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field

import numpy as np

from .chance import chosen_colour, chosen_second
from .colours import tones_of
from .recipe import WEARS, Recipe
from .registry import Material, find_material, materials
from .vocabulary import LONE_COLOURS, Meaning, longest_phrase, phrases, suggestions

DEFAULT_MATERIAL = "plaster"
"""What is rendered when no material is named: it takes any colour."""


@dataclass(frozen=True)
class Parsed:
    """A recipe, and sentences for the user about what was not understood or not used."""

    recipe: Recipe
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Named:
    """A word of the prompt that stands for something, and where it stood."""

    position: int
    phrase: str
    value: tuple[str, ...]


@dataclass
class _Reading:
    """The prompt sorted by kinds of words."""

    found: dict[str, list[_Named]] = field(default_factory=dict)
    colours: list[_Named] = field(default_factory=list)
    """Colours with their tones, (colour, tone)."""
    joints: dict[str, int] = field(default_factory=dict)
    """Where "on" and "with" first stood."""
    warnings: list[str] = field(default_factory=list)

    def named(self, kind: str) -> list[_Named]:
        """All words of a kind, in their order."""
        return self.found.get(kind, [])

    def warn(self, sentence: str) -> None:
        """Say something to the user, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)


def parse(prompt: str, seed: int = 0) -> Parsed:
    """Read a prompt; the seed settles colours and variants that it leaves open. Scale is medium and wear none unless said."""
    reading = _read(prompt)
    rng = np.random.Generator(np.random.PCG64(abs(seed)))
    entry = _material(reading)
    colour, tone, second, second_tone = _colours(reading, entry, rng)
    variant = _variant(reading, entry, rng)
    scales = reading.named("scale")
    for extra in scales[1:]:
        if extra.value != scales[0].value:
            reading.warn(f'The size "{extra.phrase}" was left out because "{scales[0].phrase}" was said first.')
    worn = {named.value[0] for named in reading.named("wear")}
    recipe = Recipe(
        material=entry.name,
        colour=colour,
        tone=tone,
        second=second,
        second_tone=second_tone,
        scale=scales[0].value[0] if scales else "medium",
        variant=variant,
        wear=tuple(name for name in WEARS if name in worn),
    )
    return Parsed(recipe, tuple(reading.warnings))


def _read(prompt: str) -> _Reading:
    """Cut the prompt into known phrases, longest first, and sort them by kind; warn of the rest."""
    reading = _Reading()
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    position = 0
    while position < len(words):
        phrase, meaning = _longest(words[position : position + longest_phrase()])
        if meaning is None:
            reading.warn(_unknown(phrase))
        elif meaning.kind == "plain":
            reading.joints.setdefault(phrase, position)
        else:
            reading.found.setdefault(meaning.kind, []).append(_Named(position, phrase, meaning.value))
        position += len(phrase.split())
    _attach_tones(reading)
    return reading


def _longest(words: list[str]) -> tuple[str, Meaning | None]:
    """The longest known phrase at the start of `words` (its singular or plural will do), or the first word and None."""
    known = phrases()
    for length in range(len(words), 0, -1):
        phrase = " ".join(words[:length])
        for spelling in (phrase, phrase + "s", phrase.removesuffix("s"), phrase.removesuffix("es")):
            if spelling in known and (spelling == phrase or known[spelling].kind in ("material", "plain")):
                return phrase, known[spelling]
    return words[0], None


def _unknown(word: str) -> str:
    near = difflib.get_close_matches(word, suggestions(), n=3, cutoff=0.6)
    if not near:
        return f'The word "{word}" is not known and was ignored.'
    listed = " or ".join(f'"{name}"' for name in near)
    return f'The word "{word}" is not known and was ignored; perhaps you meant {listed}.'


def _attach_tones(reading: _Reading) -> None:
    """Give each colour the tone word before it; tones left over go to the first colour without one."""
    colours = sorted(reading.named("colour") + reading.named("substance"), key=lambda named: named.position)
    tones = {named.position: named for named in reading.named("tone")}
    for named in colours:
        colour, tone = named.value[:2]
        said = tones.pop(named.position - 1, None)
        if said is not None:
            tone = said.value[0] if said.value[0] in tones_of(colour) else tone
            if said.value[0] not in tones_of(colour):
                reading.warn(f'The word "{said.phrase}" was left out because {colour} has no tones.')
        reading.colours.append(_Named(named.position, named.phrase, (colour, tone)))
    for said in tones.values():
        reading.warn(f'The word "{said.phrase}" was left out because no colour follows it.')


def _material(reading: _Reading) -> Material:
    """The material meant: one that absorbs the others, else the first named, else one implied by a substance."""
    named = reading.named("material")
    if named:
        entries = [find_material(one.value[0]) for one in named]
        names = {entry.name for entry in entries}
        chosen = next((entry for entry in entries if names & set(entry.absorbs)), entries[0])
        for one, entry in zip(named, entries, strict=True):
            if entry.name != chosen.name and entry.name not in chosen.absorbs:
                reading.warn(f'The material "{one.phrase}" was left out because a tile has one material, here {chosen.title}.')
        return chosen
    for substance in reading.named("substance"):
        return find_material(substance.value[2])
    for colour in reading.colours:
        if colour.value[0] in LONE_COLOURS:
            return find_material(LONE_COLOURS[colour.value[0]])
    reading.warn(
        f"No known material is named, so {DEFAULT_MATERIAL} was used; try for example "
        f"brick, marble or planks ({len(materials())} materials are known)."
    )
    return find_material(DEFAULT_MATERIAL)


def _colours(reading: _Reading, entry: Material, rng: np.random.Generator) -> tuple[str, str, str, str]:
    """Colour, tone, second colour and its tone: from the prompt where it says, else by chance."""
    first, after = _sorted_colours(reading, entry)
    main = first[0].value if first else (chosen_colour(entry, rng, avoid=after[0].value[0] if after else ""), "")
    rest = after + first[1:]
    if entry.second is None:
        for extra in rest:
            if not _belongs_to_absorbed(reading, entry):
                reading.warn(f'The colour "{extra.phrase}" was left out because {entry.title} has one colour.')
        return main[0], main[1], "", ""
    for extra in rest[1:]:
        reading.warn(f'The colour "{extra.phrase}" was left out because {entry.title} has two colours.')
    second = rest[0].value if rest else (chosen_second(entry, rng, avoid=main[0]), "")
    return main[0], main[1], second[0], second[1]


def _sorted_colours(reading: _Reading, entry: Material) -> tuple[list[_Named], list[_Named]]:
    """The colours that belong to the material itself, and those that belong to its ground ("dots on blue", "blue with white dots")."""
    places = [named.position for named in reading.named("material") if named.value[0] == entry.name]
    place = places[0] if places else -1
    on, with_ = reading.joints.get("on"), reading.joints.get("with")
    if on is not None and entry.second is not None:
        return [c for c in reading.colours if c.position < on], [c for c in reading.colours if c.position > on]
    two_things = entry.second is not None or _belongs_to_absorbed(reading, entry)
    if with_ is not None and two_things and place > with_ and any(c.position > with_ for c in reading.colours):
        return [c for c in reading.colours if c.position > with_], [c for c in reading.colours if c.position < with_]
    return reading.colours, []


def _belongs_to_absorbed(reading: _Reading, entry: Material) -> bool:
    """Whether the prompt names a material that this one contains, whose colour may be said too (green grass with red flowers)."""
    return any(named.value[0] in entry.absorbs for named in reading.named("material"))


def _variant(reading: _Reading, entry: Material, rng: np.random.Generator) -> str:
    fitting = [named.phrase for named in reading.named("variant") if named.value[0] in entry.variants]
    for named in reading.named("variant"):
        if named.value[0] not in entry.variants:
            reading.warn(f'The word "{named.phrase}" was left out because {entry.title} has no such variant.')
    for extra in fitting[1:]:
        if extra != fitting[0]:
            reading.warn(f'The word "{extra}" was left out because "{fitting[0]}" was said first.')
    if fitting:
        return fitting[0]
    return entry.variants[int(rng.integers(len(entry.variants)))] if entry.variants else ""
