"""Learning a LoRA: its factors, what one step is shown, and what a model must be able to do. It draws nothing and optimises nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gesso.model.conditioning import Conditioning

Where = Literal["attention", "all"]


@dataclass(frozen=True)
class Plan:
    """A LoRA before it has learned anything. rank: numbers between its two factors. alpha: what it adds is scaled by ``alpha / rank``.
    layers: which of the denoiser it changes: the linear ones of its attention, or every linear layer and convolution. seed: of its factors.
    """

    rank: int
    alpha: float
    layers: Where
    seed: int


@dataclass(frozen=True)
class Lesson:
    """What one step is shown. latents: (B, C, h, w), what pictures encode to. noise: like them, of unit variance. sigmas: (B,) float32, for
    each a noise level of the model. conds: for each its words, all of one layout. wraps: along x and along y. half: compute in bfloat16.
    """

    latents: Tensor
    noise: Tensor
    sigmas: Tensor
    conds: tuple[Conditioning, ...]
    wraps: tuple[bool, bool] = (False, False)
    half: bool = False


class Factors(nn.Module):
    """The two factors of a change to each layer, in float32: ``down`` (rank, inputs ...) and ``up`` (outputs, rank ...). ``shapes``: of the
    layers' weights, by name. At first ``up`` is zero, so that nothing is changed (Hu et al. 2021, arXiv 2106.09685, section 4.1).
    """

    def __init__(self, shapes: Mapping[str, torch.Size], plan: Plan, device: torch.device) -> None:
        super().__init__()
        self.plan = plan
        self.layers = tuple(shapes)
        self.down, self.up = nn.ParameterList(), nn.ParameterList()
        generator = torch.Generator().manual_seed(plan.seed)
        for shape in shapes.values():
            rank = min(plan.rank, shape[0], shape[1])
            down = torch.randn((rank, *shape[1:]), generator=generator) / math.sqrt(3 * shape[1:].numel())
            self.down.append(nn.Parameter(down.to(device)))
            self.up.append(nn.Parameter(torch.zeros((shape[0], rank, *(1 for _ in shape[2:])), device=device)))

    def scale(self, place: int) -> float:
        """What the product of the factors of layer number ``place`` is multiplied with."""
        return self.plan.alpha / len(self.down[place])


class Pupil(Protocol):
    """A LoRA at work, as whoever teaches it holds it: what the method ``learn_lora`` of a model with the capability ``learn`` takes."""

    factors: Factors

    def descend(self, loss: Tensor, factor: float) -> None:
        """One step down the gradient of ``loss``, at ``factor`` of the learning rate."""
        ...


@runtime_checkable
class Teachable(Protocol):
    """Capability ``learn``: LoRAs can be learned for it. By `gesso.engine.Apply`: ``plan_lora`` (plan -> `Factors`), ``learn_lora`` (pupil,
    lesson, factor -> the loss, and x0 of the lesson's first row) and ``lora_tensors`` (factors -> tensors by the names of a LoRA file).
    """

    def plan_lora(self, plan: Plan) -> Factors:
        """Factors for the layers that the plan names."""
        ...

    def lora_loss(self, factors: Factors, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """The mean squared error of what the network itself predicts (noise, velocity ...), and x0; differentiable in the factors."""
        ...

    def wearing(self, factors: Factors, wraps: tuple[bool, bool]) -> AbstractContextManager[None]:
        """The model with these factors, for as long as the block lasts."""
        ...

    def lora_tensors(self, factors: Factors) -> dict[str, Tensor]:
        """What a LoRA file holds of them, in float16 on the CPU."""
        ...
