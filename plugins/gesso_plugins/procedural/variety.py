"""Materials that nobody wrote: those that there are, turned, mirrored, flatter or steeper, or with the colours of another, and lit anew.

A network that reads relief from pictures learns whole materials by heart otherwise, and is lost with one that it never saw.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gesso.media.relief import normals, occlusion

from .maps import Map, Maps

STEEPER = 0.6
"""How much flatter or steeper a relief becomes, at most: the logarithm of a factor."""


def varied(shape: Maps, surface: Maps, rng: np.random.Generator) -> Maps:
    """The relief of `shape` with the colours, roughness and metal of `surface` (which may be the same), both turned by the same quarter
    turns and mirrored or not, the relief also flatter or steeper; square maps. Everything is drawn from `rng`.
    """
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))

    def moved(plane: Map) -> Map:
        turned = np.rot90(plane, turns)
        return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)

    height, relief = moved(shape.height), shape.relief * float(np.exp(rng.uniform(-STEEPER, STEEPER)))
    measured = height * np.float32(relief)
    return replace(
        surface,
        base_color=moved(surface.base_color),
        height=height,
        normal=normals(measured),
        roughness=moved(surface.roughness),
        metallic=moved(surface.metallic),
        ambient_occlusion=occlusion(measured),
        emission=moved(surface.emission),
        relief=relief,
    )
