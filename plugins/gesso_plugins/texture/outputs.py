"""The pictures of one material as files: which there are, in which depth, packed or apart, and what was measured of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.media import MaterialMaps, Output, images
from gesso.media.colour import Srgb
from gesso.plugin.choosing import alone
from gesso_plugins.texture.params import TextureParams

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Made:
    """One material: ``maps`` None where only its colour was asked for. ``bits``: depth of the colour in a PNG."""

    colour: Plane
    maps: MaterialMaps | None
    model: str
    bits: int = 8
    measured: Mapping[str, Any] = field(default_factory=dict)


def outputs(made: Made, params: TextureParams, index: int, seed: int) -> list[Output]:
    """One output for each picture, the colour first."""
    own = alone(params, seed)
    relief = {} if made.maps is None else {"relief": round(made.maps.relief, 6)}
    info = {"measured": {**made.measured, **relief}}
    kind = "exr" if params.floats else "png"
    return [
        Output(pixels=pixels, role=role, index=index, seed=seed, params=own, model=made.model, kind=kind, info=info)
        for role, pixels in _pictures(made, params)
    ]


def _pictures(made: Made, params: TextureParams) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    def file(plane: Plane, bits: int = 8) -> npt.NDArray[Any]:
        if params.floats:
            return np.ascontiguousarray(plane[..., None] if plane.ndim == 2 else plane, np.float32)
        return images.quantised(plane, bits)

    yield "base_color", file(np.asarray(Srgb().to_linear(made.colour), np.float32) if params.floats else made.colour, made.bits)
    maps = made.maps
    if maps is None:
        return
    yield "height", file(maps.height, 16)
    yield "normal", file(maps.normal if params.normals == "gl" else _downwards(maps.normal))
    if params.packing != "orm":
        yield "roughness", file(maps.roughness)
        yield "metallic", file(maps.metallic)
        yield "ambient_occlusion", file(maps.ambient_occlusion)
    if params.packing != "separate":
        yield "orm", file(np.stack([maps.ambient_occlusion, maps.roughness, maps.metallic], 2))


def _downwards(normal: Plane) -> Plane:
    """The normals with green pointing down."""
    return normal * np.array([1, -1, 1], np.float32) + np.array([0, 1, 0], np.float32)
