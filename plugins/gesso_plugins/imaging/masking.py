"""Painting in part of a picture: what a mask says at the size of pixels and of latents. White is painted anew, black is kept; grey is kept
through so many of the first steps as it is dark, so that it changes less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gesso.errors import InvalidRequest
from gesso.media import images


@dataclass(frozen=True)
class Mask:
    """``pixels`` (1, 1, H, W) in 0..1."""

    pixels: Tensor

    def latent(self, height: int, width: int) -> Tensor:
        """(1, 1, h, w): the mean over the pixels of each place."""
        return nn.functional.interpolate(self.pixels, size=(height, width), mode="area")

    def hard(self, height: int, width: int) -> Tensor:
        """(1, 1, h, w) of 0 and 1, as inpainting models were trained with."""
        return nn.functional.interpolate((self.pixels >= 0.5).to(torch.float32), size=(height, width), mode="nearest")

    def cut_out(self, picture: Tensor) -> Tensor:
        """The picture (1, 3, H, W) in 0..1 with grey where it is to be painted, as inpainting models see it."""
        return torch.where(self.pixels >= 0.5, 0.5, picture)

    def kept(self, made: npt.NDArray[np.uint8], source: Tensor) -> npt.NDArray[np.uint8]:
        """What was made, with the pixels of the source (1, 3, H, W) wherever the mask is black."""
        black = (self.pixels[0, 0] == 0).numpy()[..., None]
        return np.where(black, images.to_uint8(source), made)


def read_mask(data: bytes, width: int, height: int) -> Mask:
    """From the bytes of a picture file, scaled as the picture to be painted in is; its brightness counts."""
    mask = Mask(images.to_planes(data, width, height).mean(dim=1, keepdim=True))
    if not bool((mask.pixels > 0).any()):
        raise InvalidRequest("The mask is black all over: nothing would be painted.", field="mask", hint="Paint white what is to change.")
    return mask


def nothing_kept(width: int, height: int) -> Mask:
    """All white: for an inpainting model that is to make a picture out of nothing."""
    return Mask(torch.ones(1, 1, height, width))
