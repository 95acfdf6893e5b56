"""The words that `caption` chooses from where nobody gives any: colours with materials, in plain English."""

from __future__ import annotations

COLOURS = (
    "red", "orange", "yellow", "gold", "green", "teal", "blue", "purple", "pink", "brown", "beige", "white", "grey", "black",
)  # fmt: skip
MATERIALS = (
    "asphalt", "bamboo", "bark", "basket weave", "brick", "carpet", "checkerboard", "clouds", "cobblestone", "concrete", "copper",
    "corrugated metal", "cracked earth", "denim", "fabric", "fire", "floor tiles", "fur", "glass", "granite", "grass", "gravel",
    "hammered metal", "herringbone", "hexagon tiles", "honeycomb", "ice", "knitted wool", "lava", "leather", "leaves", "marble",
    "metal", "moss", "mosaic", "mud", "paper", "parquet", "pebbles", "plaster", "polka dots", "roof tiles", "rock", "rust", "sand",
    "scales", "slate", "snow", "stone wall", "stripes", "tartan", "terrazzo", "tiger fur", "water", "wood", "wooden planks",
    "zebra fur",
)  # fmt: skip


def phrases() -> tuple[str, ...]:
    """Every colour with every material."""
    return tuple(f"{colour} {material}" for material in MATERIALS for colour in COLOURS)
