"""The border of rectified flow: a transformer predicts the velocity noise - x0; noise levels and shifts of such models end here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gesso.errors import ModelError
from gesso.model import Conditioning, Parametrisation, Shift
from gesso_plugins.diffusion.patches import PatchDenoiser


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


class FlowDenoiser(PatchDenoiser):
    """A transformer of rectified flow. Rows of one call may have levels of their own."""

    @abstractmethod
    def velocity(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """What the network says of rows x (B, C, h, w) in its own number format at levels sigma (B,)."""

    def predict(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """X = (1 - sigma) * x0 + sigma * noise and velocity = noise - x0, so x0 = x - sigma * velocity."""
        return x - sigma.view(-1, 1, 1, 1) * self.velocity(x.to(self.dtype), sigma, cond).to(torch.float32)
