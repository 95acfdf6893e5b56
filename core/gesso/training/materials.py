"""The materials that small models of other families than the starter's learn, so that they can be compared. It draws none."""

from __future__ import annotations

MATERIALS = (
    "brick", "cobblestone", "marble", "hexagon_tiles", "planks", "bark", "knit", "grass", "water", "zebra", "checkerboard", "polka_dots",
)  # fmt: skip
"""Twelve materials of those that the starter learns: walls, stones, woods, cloth, plants, skins and patterns."""
