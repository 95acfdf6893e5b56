"""What an operation returns: pixels with what is needed to name, store and make them again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.media.profile import SRGB, Profile


@dataclass(frozen=True)
class Rendered:
    """Reply of a model's ``render`` method: pixels uint8 (H, W, 3) sRGB, and sentences for the user."""

    pixels: npt.NDArray[np.uint8]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaterialMaps:
    """Reply of ``material_maps`` and ``find_maps``. All float32 in 0..1: colours (H, W, 3), others (H, W). Normals are OpenGL (+Y up),
    encoded n/2+1/2, of the height times ``relief``: what a height of 1 measures, as a share of the shorter side.
    """

    base_color: npt.NDArray[np.float32]
    height: npt.NDArray[np.float32]
    normal: npt.NDArray[np.float32]
    roughness: npt.NDArray[np.float32]
    metallic: npt.NDArray[np.float32]
    ambient_occlusion: npt.NDArray[np.float32]
    relief: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """One result picture.

    pixels: uint8 or uint16, (H, W), (H, W, 1 to 4); floats where ``kind`` is a file that holds them.
    role: ``image``, or a map's name (``base_color``, ``height``, ...).
    index: number of the picture in the job (maps of one picture share it). params: the complete parameters of a job that makes
    exactly this picture again (count 1, its own seed). model: name of the model that made it, empty where none did.
    score: how good scorers found it, the combined value; ``info["scores"]`` has the parts. signed: whether the file carries its recipe.
    kind: the codec that writes it where the client names none or one that cannot hold its samples.
    profile: the colour profile that goes into it. associated: colours are multiplied with the alpha already.
    ``info["measured"]`` is what an operation found out.
    """

    pixels: npt.NDArray[Any]
    role: str
    index: int
    seed: int
    params: Mapping[str, Any]
    model: str
    score: float | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    signed: bool = True
    kind: str = "png"
    profile: Profile = SRGB
    associated: bool = False

    def noted(self, name: str, **what: Any) -> Output:
        """The same, with what a filter of that name did to it written into the result."""
        return replace(self, info={**self.info, "filters": {**self.info.get("filters", {}), name: what}})
