"""Pictures as the vision towers of CLIP want them. In torch: transformers' own processors want torchvision. It loads no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from gesso.errors import InvalidRequest

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""OpenAI's normalisation (Radford et al. 2021), where a directory states none."""
BILINEAR = 2
"""What Pillow, and so a directory, calls that filter."""
SMALLEST = 8
"""Pixels a side below which there is nothing to see."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Preparing:
    """Scaled to cover a square of ``side`` and cut where ``crop`` says so, else squeezed into it; then normalised. mode: of the scaling, as
    torch names it.
    """

    side: int
    crop: bool
    mean: Sequence[float] = MEAN
    std: Sequence[float] = STD
    mode: str = "bicubic"

    @staticmethod
    def of(side: int, settings: Mapping[str, Any], crop: bool = False) -> Preparing:
        """As a directory's settings say; ``crop`` counts where they are silent."""
        cut = bool(settings.get("do_center_crop", crop))
        mode = "bilinear" if settings.get("resample") == BILINEAR else "bicubic"
        return Preparing(side, cut, settings.get("image_mean", MEAN), settings.get("image_std", STD), mode)

    def __call__(self, pictures: Sequence[Pixels]) -> torch.Tensor:
        """uint8 (H, W, 3) of any sizes -> (N, 3, S, S)."""
        return torch.cat([self._one(picture) for picture in pictures])

    def _one(self, picture: Pixels) -> torch.Tensor:
        height, width = picture.shape[:2]
        if min(height, width) < SMALLEST:
            raise InvalidRequest(
                f"A picture of {width} x {height} pixels is too small to be compared with words.",
                hint=f"Give pictures of at least {SMALLEST} pixels a side.",
            )
        return self.seen(torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255)

    def seen(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) in 0..1 -> (N, 3, S, S)."""
        height, width = pictures.shape[-2:]
        scale = self.side / min(height, width)
        size = (round(height * scale), round(width * scale)) if self.crop else (self.side, self.side)
        scaled = functional.interpolate(pictures, size=size, mode=self.mode, antialias=True).clamp(0, 1)
        top, left = (size[0] - self.side) // 2, (size[1] - self.side) // 2
        return self._normalised(scaled[..., top : top + self.side, left : left + self.side])

    def differentiable(self, squares: torch.Tensor) -> torch.Tensor:
        """The same for squares (N, 3, s, s) in 0..1 that want gradients. Matrices scale them: the backward pass of torch's own scaling adds
        in no fixed order on CUDA.
        """
        scale = _scaling(squares.shape[-1], self.side, self.mode).to(squares.device)
        return self._normalised((scale @ squares @ scale.T).clamp(0, 1))

    def _normalised(self, squares: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(values, device=squares.device)[:, None, None] for values in (self.mean, self.std))
        return (squares - mean) / std


@cache
def _scaling(old: int, new: int, mode: str) -> torch.Tensor:
    """(new, old): what that scaling does along one axis."""
    return functional.interpolate(torch.eye(old)[None, None], size=(new, old), mode=mode, antialias=True)[0, 0]
