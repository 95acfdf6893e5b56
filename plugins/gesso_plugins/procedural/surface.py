"""What a painter hands back: the raw layers of a material on the fine canvas, before weather, filtering and maps."""

from __future__ import annotations

from dataclasses import dataclass

from .arrays import Field, Planes


@dataclass
class Surface:
    """Layers of one material; weather edits them in place. Scalars mean "the same everywhere"."""

    colour: Planes
    """Albedo without baked light, sRGB-encoded, (3, H, W)."""
    height: Field
    """Height in units of `relief`, usually about 0..1; it need not be confined to that."""
    relief: float = 0.02
    """How high one unit of height is, as a share of the tile's shorter side."""
    roughness: Field | float = 0.8
    metallic: Field | float = 0.0
    glow: Field | float = 0.0
    """Share of the colour that shines by itself (lava, stars)."""
