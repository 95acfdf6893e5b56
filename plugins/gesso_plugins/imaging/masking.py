"""Painting in part of a picture: what a mask says at the size of pixels and of latents. White is painted anew, black is kept; grey is kept
through so many of the first steps as it is dark, so that it changes less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

    def brightest(self, height: int, width: int) -> Tensor:
        """(1, 1, h, w): the brightest of the pixels of each place."""
        return nn.functional.adaptive_max_pool2d(self.pixels, (height, width))

    def hard(self, height: int, width: int) -> Tensor:
        """(1, 1, h, w) of 0 and 1, as inpainting models were trained with."""
        return nn.functional.interpolate((self.pixels >= 0.5).to(torch.float32), size=(height, width), mode="nearest")

    def cut_out(self, picture: Tensor) -> Tensor:
        """The picture (1, 3, H, W) in 0..1 with grey where it is to be painted, as inpainting models see it."""
        return torch.where(self.pixels >= 0.5, 0.5, picture)

    def kept(self, made: Tensor, source: Tensor) -> Tensor:
        """What was made (1, 3, H, W), with the pixels of the source wherever the mask is black."""
        return torch.where(self.pixels == 0, source, made)


def read_region(data: images.Picture, width: int, height: int) -> Mask:
    """From a picture, scaled as the picture to be made is; its brightness counts."""
    return Mask(images.to_planes(data, width, height).mean(dim=1, keepdim=True))


def read_mask(data: images.Picture, width: int, height: int) -> Mask:
    """The same for what is to be painted: InvalidRequest where that is nothing."""
    mask = read_region(data, width, height)
    if not bool((mask.pixels > 0).any()):
        raise InvalidRequest("The mask is black all over: nothing would be painted.", field="mask", hint="Paint white what is to change.")
    return mask


def shares(masks: Sequence[Mask], height: int, width: int) -> Tensor:
    """(1 + N, 1, h, w): how much of each place belongs to none of the masks, then to each of them; together 1. Where masks overlap, or one
    is grey, the parts are as large as the masks are bright.
    """
    parts = torch.cat([mask.latent(height, width) for mask in masks])
    rest = (1.0 - parts.sum(0, keepdim=True)).clamp(min=0.0)
    whole = torch.cat([rest, parts])
    return whole / whole.sum(0, keepdim=True)


def nothing_kept(width: int, height: int) -> Mask:
    """All white: for an inpainting model that is to make a picture out of nothing."""
    return Mask(torch.ones(1, 1, height, width))
