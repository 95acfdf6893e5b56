"""The border of rectified flow: a transformer predicts the velocity noise - x0; noise levels, shifts and seams of such models end here."""

from __future__ import annotations

import hashlib
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gesso.errors import ModelError
from gesso.model import Conditioning, Parametrisation, Shift


def flow_of(scheduler: Mapping[str, Any], pixels: int) -> tuple[Parametrisation, Shift | None]:
    """The trained levels and how they move with the size, from the settings of diffusers' `FlowMatchEulerDiscreteScheduler`. ``pixels``:
    the side of one of the network's tokens.
    """
    steps = int(scheduler.get("num_train_timesteps", 1000))
    if not 2 <= steps <= 10_000:
        raise ModelError(f"The model's noise schedule makes no sense: {steps} steps.")
    trained = Parametrisation("flow", tuple(t / steps for t in range(1, steps + 1)))
    if not scheduler.get("use_dynamic_shifting"):
        by = float(scheduler.get("shift", 1.0))
        if not 0 < by <= 100:
            raise ModelError(f"The model's noise schedule makes no sense: a shift of {by:g}.")
        return trained.shifted(by), None
    few, many = int(scheduler.get("base_image_seq_len", 256)), int(scheduler.get("max_image_seq_len", 4096))
    if few == many:
        raise ModelError(f"The model's noise schedule makes no sense: its shift goes from {few} to {many} tokens.")
    terminal = scheduler.get("shift_terminal")
    return trained, Shift(
        pixels,
        (few, many),
        float(scheduler.get("base_shift", 0.5)),
        float(scheduler.get("max_shift", 1.15)),
        linear=scheduler.get("time_shift_type", "exponential") == "linear",
        terminal=None if terminal is None else float(terminal),
    )


class FlowDenoiser(ABC):
    """A transformer over patches of ``patch`` latent places a side. Rows of one call may have levels of their own."""

    def __init__(self, network: Any, patch: int) -> None:
        self.network: nn.Module = network
        self._patch = patch
        self._dtype = next(network.parameters()).dtype
        self._wrapped = (False, False)

    @abstractmethod
    def velocity(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """What the network says of rows x (B, C, h, w) in its own number format at levels sigma (B,)."""

    def x0(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """X = (1 - sigma) * x0 + sigma * noise and velocity = noise - x0, so x0 = x - sigma * velocity."""
        offsets = [_offset(level, x.shape[2:], self._patch, self._wrapped) for level in sigma.tolist()]
        velocity = self.velocity(_rolled(x, offsets, 1).to(self._dtype), sigma, cond).to(torch.float32)
        return x - sigma.view(-1, 1, 1, 1) * _rolled(velocity, offsets, -1)

    def seamless(self, x: bool, y: bool) -> FlowDenoiser:
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
    if not any(down or across for down, across in offsets):
        return x
    rows = [torch.roll(row, (sign * down, sign * across), (1, 2)) for row, (down, across) in zip(x, offsets, strict=True)]
    return torch.stack(rows)
