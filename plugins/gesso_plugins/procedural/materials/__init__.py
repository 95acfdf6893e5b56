"""The painters, one function a material, in themed modules; importing them enters them in the registry."""

from functools import cache
from importlib import import_module

MODULES = ("masonry", "stone", "tilework", "wood", "fabric", "metal", "ground", "nature", "organic", "pattern")


@cache
def load() -> None:
    """Import every themed module once, in the order that the registry shows."""
    for name in MODULES:
        import_module(f"{__name__}.{name}")
