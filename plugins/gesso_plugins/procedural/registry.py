"""The registry of materials: a painter enters with the `@material` decorator; nothing here draws or parses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from .canvas import Canvas
    from .surface import Surface

Painter: TypeAlias = "Callable[[Canvas], Surface]"

HARD = ("mossy", "cracked", "dirty", "worn", "snowy", "wet")
"""What weather does to stone and its like."""
SOFT = ("worn", "dirty", "dusty")
"""What use does to cloth and its like."""
METAL = ("rusty", "scratched", "dirty", "worn", "wet")
"""What air does to metal."""
WOOD = ("worn", "dirty", "cracked", "mossy", "wet", "scratched")
"""What time does to wood."""

STONES = ("grey", "grey", "beige", "brown", "black", "white", "red")
"""The colours that stone usually has."""


@dataclass(frozen=True)
class Material:
    """A material by name: its words, what it usually looks like, and the function that paints it."""

    name: str
    title: str
    words: tuple[str, ...]
    """Every phrase that means this material, the most usual first; the name with spaces is always one of them."""
    painter: Painter
    colours: tuple[str, ...] = ()
    """Colours it usually has (repeats weigh more); empty means any."""
    second: tuple[str, ...] | None = None
    """Usual second colours of a two-colour material, empty means any; None for a material of one colour."""
    variants: tuple[str, ...] = ()
    """Words that choose between looks of this material, e.g. horizontal or vertical."""
    absorbs: tuple[str, ...] = ()
    """Materials that this one contains, so that naming both means this one (grass with flowers)."""
    wear: tuple[str, ...] = ()
    """Wear that it usually shows; any other can still be asked for."""


_MATERIALS: dict[str, Material] = {}


def material(
    name: str,
    *,
    words: tuple[str, ...],
    title: str = "",
    colours: tuple[str, ...] = (),
    second: tuple[str, ...] | None = None,
    variants: tuple[str, ...] = (),
    absorbs: tuple[str, ...] = (),
    wear: tuple[str, ...] = (),
) -> Callable[[Painter], Painter]:
    """Enter the decorated painter under `name`; the title defaults to the name with spaces."""

    def enter(painter: Painter) -> Painter:
        if name in _MATERIALS:
            raise ValueError(f"The material {name!r} is registered twice.")
        spaced = name.replace("_", " ")
        phrases = words if spaced in words else (*words, spaced)
        _MATERIALS[name] = Material(
            name, title or spaced.capitalize(), phrases, painter, colours, second, variants, absorbs, wear
        )
        return painter

    return enter


def find_material(name: str) -> Material:
    """The material of that name, or a ValueError that says which exist."""
    found = materials().get(name)
    if found is None:
        raise ValueError(f"There is no material named {name!r}; the materials are {', '.join(materials())}.")
    return found


def materials() -> dict[str, Material]:
    """All materials by name, in the order in which their modules are listed."""
    from . import materials as painters  # imported here because the painters import this module to register

    painters.load()
    return _MATERIALS
