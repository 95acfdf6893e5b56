"""A recipe: everything about a material but its seed and size, fully resolved; it does not know how it was asked for or how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

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
