"""Guidance away from what a spoiled network would paint: the common step of perturbed-attention and skip-layer guidance."""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor

from gesso.engine import PROMPT, Predicted, Row
from gesso.model import Perturbation


def away_from(perturbation: Perturbation, scale: float) -> Generator[tuple[Row, ...], Predicted, Tensor]:
    """x0 + scale * (prompt - prompt of the perturbed network). Linear, so it is the same for epsilon, v and x0. At 0 no row is computed."""
    if scale == 0.0:
        return (yield ()).x0
    weak = Row(perturb=perturbation)
    predicted = yield (weak,)
    return predicted.x0 + scale * (predicted[PROMPT] - predicted[weak])
