"""Every word the grammar knows and what it means; the materials bring their own words from the registry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from .colours import COLOURS
from .recipe import SCALES, WEARS
from .registry import materials

Words = MappingProxyType[str, tuple[str, str]]

COLOUR_WORDS: Words = MappingProxyType(
    {name: (name, "") for name in COLOURS}
    | {
        "scarlet": ("red", ""),
        "crimson": ("red", ""),
        "ruby": ("red", "vivid"),
        "maroon": ("red", "dark"),
        "burgundy": ("red", "dark"),
        "amber": ("orange", ""),
        "tangerine": ("orange", "vivid"),
        "terracotta": ("orange", "dark"),
        "golden": ("gold", ""),
        "lemon": ("yellow", "vivid"),
        "mustard": ("yellow", "dark"),
        "ochre": ("yellow", "dark"),
        "emerald": ("green", "vivid"),
        "lime": ("green", "light"),
        "olive": ("green", "dark"),
        "mint": ("green", "light"),
        "turquoise": ("teal", "light"),
        "cyan": ("teal", "vivid"),
        "aqua": ("teal", "light"),
        "azure": ("blue", "vivid"),
        "navy": ("blue", "dark"),
        "indigo": ("blue", "dark"),
        "cobalt": ("blue", "vivid"),
        "violet": ("purple", ""),
        "lilac": ("purple", "light"),
        "lavender": ("purple", "light"),
        "plum": ("purple", "dark"),
        "rose": ("pink", ""),
        "magenta": ("pink", "vivid"),
        "salmon": ("pink", "light"),
        "chocolate": ("brown", "dark"),
        "chestnut": ("brown", ""),
        "tan": ("brown", "light"),
        "cream": ("beige", "light"),
        "ivory": ("beige", "light"),
        "khaki": ("beige", "dark"),
        "gray": ("grey", ""),
        "charcoal": ("grey", "dark"),
        "ebony": ("black", ""),
        "jet": ("black", ""),
    }
)
"""A colour word, and the colour and tone that it names."""

SUBSTANCE_WORDS: MappingProxyType[str, tuple[str, str, str]] = MappingProxyType(
    {
        "oak": ("brown", "light", "wood"),
        "walnut": ("brown", "dark", "wood"),
        "pine": ("beige", "", "wood"),
        "birch": ("beige", "light", "wood"),
        "cherry": ("orange", "dark", "wood"),
        "mahogany": ("red", "dark", "wood"),
        "teak": ("brown", "", "wood"),
        "steel": ("silver", "", "brushed_metal"),
        "aluminium": ("silver", "", "brushed_metal"),
        "aluminum": ("silver", "", "brushed_metal"),
        "chrome": ("silver", "", "brushed_metal"),
        "iron": ("grey", "dark", "brushed_metal"),
        "titanium": ("grey", "light", "brushed_metal"),
        "brass": ("gold", "", "brushed_metal"),
        "bronze": ("copper", "", "brushed_metal"),
    }
)
"""A substance that names a colour and a tone, and a material too where no other word does."""

LONE_COLOURS: MappingProxyType[str, str] = MappingProxyType({"gold": "brushed_metal", "copper": "brushed_metal", "silver": "brushed_metal"})
"""Colours that are also a material when nothing else is named."""

TONE_WORDS: MappingProxyType[str, str] = MappingProxyType(
    {
        "dark": "dark",
        "deep": "dark",
        "light": "light",
        "pale": "light",
        "pastel": "light",
        "vivid": "vivid",
        "bright": "vivid",
        "vibrant": "vivid",
    }
)

SCALE_WORDS: MappingProxyType[str, str] = MappingProxyType(
    {name: name for name in SCALES}
    | {
        "tiny": "small",
        "fine": "small",
        "little": "small",
        "narrow": "small",
        "big": "large",
        "wide": "large",
        "huge": "large",
        "coarse": "large",
        "normal": "medium",
    }
)

WEAR_WORDS: MappingProxyType[str, str] = MappingProxyType(
    {name: name for name in WEARS}
    | {
        "weathered": "worn",
        "old": "worn",
        "aged": "worn",
        "faded": "worn",
        "scuffed": "scratched",
        "broken": "cracked",
        "fractured": "cracked",
        "grimy": "dirty",
        "muddy": "dirty",
        "stained": "dirty",
        "dust covered": "dusty",
        "rusted": "rusty",
        "corroded": "rusty",
        "overgrown": "mossy",
        "moss covered": "mossy",
        "rainy": "wet",
        "damp": "wet",
        "frosted": "snowy",
        "snow covered": "snowy",
    }
)

PLAIN_WORDS = frozenset(
    """
    a an the of some my this that these and with in on at for from by to is are made very
    seamless seamlessly tileable tiling tiled repeating repeat texture textures textured material materials
    surface background pattern patterned picture image photo photograph render rendering view close up closeup top down
    map maps pbr albedo high resolution quality detailed detail realistic 2k 4k 8k hd
    coloured colored colour color toned covered new clean
    """.split()  # noqa: SIM905  (a list would fill a screen)
)
"""Words that are understood and change nothing."""


@dataclass(frozen=True)
class Meaning:
    """What a phrase stands for: its kind (material, colour, substance, tone, scale, wear, variant, plain) and value."""

    kind: str
    value: tuple[str, ...]


@lru_cache(maxsize=1)
def phrases() -> MappingProxyType[str, Meaning]:
    """Every known phrase by its words, joined by single spaces. Earlier kinds win where two share a word."""
    table: dict[str, Meaning] = {}

    def enter(phrase: str, kind: str, *value: str) -> None:
        table.setdefault(phrase, Meaning(kind, value))

    for word, (colour, tone) in COLOUR_WORDS.items():
        enter(word, "colour", colour, tone)
    for word, value in SUBSTANCE_WORDS.items():
        enter(word, "substance", *value)
    for kind, words in (("tone", TONE_WORDS), ("scale", SCALE_WORDS), ("wear", WEAR_WORDS)):
        for word, name in words.items():
            enter(word, kind, name)
    for name, entry in materials().items():
        for phrase in (*entry.words, *entry.adjectives):
            enter(phrase, "material", name)
        for variant in entry.variants:
            enter(variant, "variant", variant)
    for word in sorted(PLAIN_WORDS):
        enter(word, "plain")
    return MappingProxyType(table)


@lru_cache(maxsize=1)
def longest_phrase() -> int:
    """The number of words in the longest known phrase."""
    return max(len(phrase.split()) for phrase in phrases())


@lru_cache(maxsize=1)
def suggestions() -> tuple[str, ...]:
    """Every phrase that means something, for suggestions."""
    return tuple(sorted(phrase for phrase, meaning in phrases().items() if meaning.kind != "plain"))
