"""A recipe: everything about a material but its seed and size, fully resolved; it does not know how it was asked for or how it is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .colours import COLOURS, TONES
from .registry import find_material

SCALES: tuple[str, ...] = ("small", "medium", "large")
WEARS: tuple[str, ...] = ("worn", "scratched", "cracked", "dirty", "dusty", "rusty", "mossy", "wet", "snowy")
"""In the order in which time puts them on a surface."""


@dataclass(frozen=True)
class Recipe:
    """What to render. Names are those of the registry, the palette and this module; the empty string means "none"."""

    material: str
    colour: str
    tone: str = ""
    second: str = ""
    second_tone: str = ""
    scale: str = "medium"
    variant: str = ""
    wear: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        entry = find_material(self.material)
        _require("colour", self.colour, COLOURS)
        _require("tone", self.tone, TONES)
        _require("second colour", self.second, ("", *COLOURS) if entry.second is not None else ("",))
        _require("second tone", self.second_tone, TONES)
        _require("scale", self.scale, SCALES)
        _require("variant", self.variant, ("", *entry.variants))
        for name in self.wear:
            _require("wear", name, WEARS)


def _require(what: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        listed = ", ".join(repr(name) for name in known)
        raise ValueError(f"The {what} {value!r} is not one of {listed}.")
