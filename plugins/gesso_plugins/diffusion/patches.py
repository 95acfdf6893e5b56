"""Transformers over patches of a latent, and how they make pictures without a seam. It knows no noise schedule."""

from __future__ import annotations

import hashlib
import struct
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from gesso.model import Conditioning


class PatchDenoiser(ABC):
    """A transformer over patches of ``patch`` latent places a side."""

    def __init__(self, network: Any, patch: int) -> None:
        self.network: nn.Module = network
        self.dtype = next(network.parameters()).dtype
        self._patch = patch
        self._wrapped = (False, False)

    @abstractmethod
    def predict(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """x0 of rows x (B, C, h, w) at levels sigma (B,), all in float32."""

    def x0(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """The prediction, of a rolled latent where the picture wraps."""
        if not any(self._wrapped):
            return self.predict(x, sigma, cond)
        offsets = [_offset(level, x.shape[2:], self._patch, self._wrapped) for level in sigma.tolist()]
        if "reference" in cond.extras:
            reference = _rolled(cond.extras["reference"].to(x.device), offsets, 1)
            cond = replace(cond, extras={**cond.extras, "reference": reference})
        return _rolled(self.predict(_rolled(x, offsets, 1), sigma, cond), offsets, -1)

    def seamless(self, x: bool, y: bool) -> PatchDenoiser:
        """A transformer knows where its tokens are, so nothing can be padded: each step sees the latent rolled by other amounts along the
        axes that wrap, and no place is a border twice.
        """
        self._wrapped = (x, y)
        return self

    def eject(self) -> None:
        """Roll no more."""
        self._wrapped = (False, False)


def _offset(sigma: float, size: torch.Size, patch: int, wrapped: tuple[bool, bool]) -> tuple[int, int]:
    """How far a row at this level is rolled, down and across, in whole patches: drawn from the level, so that a job repeats itself and all
    rows of a step agree.
    """
    drawn = struct.unpack("<II", hashlib.blake2b(struct.pack("<d", sigma), digest_size=8).digest())
    height, width = (side // patch for side in size)
    across, down = wrapped
    return patch * (drawn[0] % height) if down else 0, patch * (drawn[1] % width) if across else 0


def _rolled(x: Tensor, offsets: list[tuple[int, int]], sign: int) -> Tensor:
    rows = [torch.roll(row, (sign * down, sign * across), (1, 2)) for row, (down, across) in zip(x, offsets, strict=True)]
    return torch.stack(rows)
