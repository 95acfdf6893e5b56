"""Classifier-free guidance: away from the negative prompt, towards the prompt."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from gesso.engine import NEGATIVE, Moment, Predicted, Row
from gesso.plugin import guidance
from gesso_plugins.guidance.ramps import Ramp, ramped


@guidance("classifier_free", title="Classifier-free guidance", paper="Ho and Salimans 2022 (arXiv 2207.12598)", order=0, aliases=("cfg",))
def classifier_free(
    moment: Moment, scale: Annotated[float, Field(ge=0, le=100)] = 5.0, schedule: Ramp = "constant"
) -> Generator[tuple[Row, ...], Predicted, Tensor]:
    """x0 = negative + scale * (prompt - negative). Where the scale is 1, only the prompt's row is computed."""
    w = ramped(scale, schedule, moment.fraction, neutral=1.0)
    if w == 1.0:
        return (yield ()).x0
    predicted = yield (NEGATIVE,)
    return torch.add(predicted[NEGATIVE], predicted.x0 - predicted[NEGATIVE], alpha=w)
