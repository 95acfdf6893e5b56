"""Muon (Jordan et al. 2024): momentum whose matrix updates are orthogonalised by a Newton-Schulz iteration, AdamW for the rest.

Convolution kernels are flattened to (out, in * height * width). Embeddings, biases, norms and the first and last layers go to AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATION_DTYPE = torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32  # half the time where it is native
_LONG = 3
"""How many times longer than wide a matrix must be for its Gram matrix to be the cheaper one to iterate."""


def orthogonalise(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """The quintic Newton-Schulz iteration: singular values are driven to about one, singular vectors kept. matrices: (..., rows, columns).

    Every iterate is a polynomial of the Gram matrix times the matrix itself, so a long matrix (a flattened kernel) iterates on its Gram
    matrix and is multiplied once: 2.9 times less work for a 3x3 kernel. That squares the singular values: it is done in single precision.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    x = _by_gram(x.float(), steps).to(x.dtype) if x.shape[-1] >= _LONG * x.shape[-2] else _directly(x, steps)
    return x.mT if tall else x


def _directly(x: torch.Tensor, steps: int) -> torch.Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def _by_gram(x: torch.Tensor, steps: int) -> torch.Tensor:
    """The same polynomial: all its factors are polynomials of one symmetric matrix, so they commute."""
    a, b, c = COEFFICIENTS
    gram, product = x @ x.mT, None
    for step in range(steps):
        factor = b * gram + c * gram @ gram
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        product = factor if product is None else factor @ product
        if step < steps - 1:
            gram = gram @ (factor @ factor)
    return x if product is None else product @ x


class Muon(torch.optim.Optimizer):
    """Both optimisers in one: groups with `matrix=True` take orthogonalised steps, the others AdamW's."""

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 1e-3, "momentum": 0.95, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.0, "matrix": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step on every parameter that has a gradient. Where forwards are computed in half precision (autocast), this is not."""
        loss = None if closure is None else closure()
        with torch.autocast("cpu", enabled=False):
            for group in self.param_groups:
                learning = [parameter for parameter in group["params"] if parameter.grad is not None]
                if group["matrix"]:
                    _matrix_steps(learning, self.state, group)
                    continue
                for parameter in learning:
                    _adamw_step(parameter, self.state[parameter], group)
        return loss


def _matrix_steps(parameters: list[torch.Tensor], states: dict[torch.Tensor, dict[str, Any]], group: dict[str, Any]) -> None:
    """One Muon step: Nesterov momentum, then the nearest semi-orthogonal matrix; matrices of one shape are iterated side by side."""
    alike: dict[torch.Size, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    for parameter in parameters:
        update = _nesterov(parameter, states[parameter], group["momentum"])
        alike.setdefault(update.shape, []).append((parameter, update))
    for (rows, columns), pairs in alike.items():
        stacked = torch.stack([update for _, update in pairs]).to(ITERATION_DTYPE)
        length = max(1.0, rows / columns) ** 0.5
        for (parameter, _), update in zip(pairs, orthogonalise(stacked), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update.to(parameter.dtype).view_as(parameter), alpha=-group["lr"] * length)


def _nesterov(parameter: torch.Tensor, state: dict[str, Any], momentum: float) -> torch.Tensor:
    """The gradient with its momentum taken in, as a matrix (rows, columns)."""
    gradient = parameter.grad
    assert gradient is not None
    if not state:
        state["momentum"] = torch.zeros_like(parameter)
    state["momentum"].lerp_(gradient, 1 - momentum)
    return gradient.lerp(state["momentum"], momentum).flatten(1)


def _adamw_step(parameter: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """One AdamW step (Loshchilov and Hutter 2019)."""
    gradient = parameter.grad
    assert gradient is not None
    if not state:
        state["step"] = torch.zeros(())
        state["mean"] = torch.zeros_like(parameter)
        state["square"] = torch.zeros_like(parameter)
    beta1, beta2 = group["betas"]
    state["step"] += 1
    count = float(state["step"])
    mean, square = state["mean"], state["square"]
    mean.lerp_(gradient, 1 - beta1)
    square.lerp_(gradient * gradient, 1 - beta2)
    root = (square / (1 - beta2**count)).sqrt_().add_(group["eps"])
    parameter.mul_(1 - group["lr"] * group["weight_decay"])
    parameter.addcdiv_(mean, root, value=-group["lr"] / (1 - beta1**count))


def build_optimiser(modules: Iterable[nn.Module], matrix_rate: float, rate: float, weight_decay: float = 0.01) -> Muon:
    """Matrices and kernels of the modules to Muon, the rest (embeddings, first and last layers, vectors) to AdamW."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for module in modules:
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            (matrices if _is_matrix(name, parameter) else others).append(parameter)
    return Muon(
        [
            {"params": matrices, "matrix": True, "lr": matrix_rate, "base_lr": matrix_rate, "weight_decay": weight_decay},
            {"params": others, "matrix": False, "lr": rate, "base_lr": rate, "weight_decay": 0.0},
        ]
    )


def _is_matrix(name: str, parameter: torch.Tensor) -> bool:
    """Whether a parameter maps features to features."""
    if parameter.ndim < 2 or min(parameter.flatten(1).shape) < 16:
        return False
    return not any(word in name for word in ("embedding", "conv_in", "conv_out", "quant_conv"))


def set_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Scale every group's learning rate from its base."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor
