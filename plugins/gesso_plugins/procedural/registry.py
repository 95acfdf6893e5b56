"""The registry of materials: a painter enters with the `@material` decorator; nothing here draws or parses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Required, TypeAlias, TypedDict, Unpack

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


class Details(TypedDict, total=False):
    """What a painter may say about its material beside its words."""

    words: Required[tuple[str, ...]]
    """Every phrase that means this material, the most usual first; the name with spaces is always one of them."""
    adjectives: tuple[str, ...]
    """Words that mean it too but cannot stand for it in a caption: hammered, wooden."""
    colours: tuple[str, ...]
    """Colours it usually has (repeats weigh more); empty means any."""
    second: tuple[str, ...] | None
    """Usual second colours of a two-colour material, empty means any; None for a material of one colour."""
    variants: tuple[str, ...]
    """Words that choose between looks of this material, e.g. horizontal or vertical."""
    absorbs: tuple[str, ...]
    """Materials that this one contains, so that naming both means this one (grass with flowers)."""
    wear: tuple[str, ...]
    """Wear that it usually shows; any other can still be asked for."""


@dataclass(frozen=True)
class Material:
    """A material by name: its words, what it usually looks like (see `Details`), and the function that paints it."""

    name: str
    painter: Painter
    words: tuple[str, ...]
    adjectives: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    second: tuple[str, ...] | None = None
    variants: tuple[str, ...] = ()
    absorbs: tuple[str, ...] = ()
    wear: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The name as people write it, in lower case."""
        return self.name.replace("_", " ")

    @property
    def theme(self) -> str:
        """The module it is painted in: stone, wood, metal, ..."""
        return self.painter.__module__.rpartition(".")[2]


_MATERIALS: dict[str, Material] = {}


def material(name: str, **details: Unpack[Details]) -> Callable[[Painter], Painter]:
    """Enter the decorated painter under `name`."""

    def enter(painter: Painter) -> Painter:
        if name in _MATERIALS:
            raise ValueError(f"The material {name!r} is registered twice.")
        entry = Material(name, painter, **details)
        if entry.title not in entry.words:
            entry = replace(entry, words=(*entry.words, entry.title))
        _MATERIALS[name] = entry
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
