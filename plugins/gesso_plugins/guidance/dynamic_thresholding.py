"""Dynamic thresholding: keeps x0 within bounds that strong guidance breaks, by squeezing what lies within instead of cutting it off."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from gesso.engine import NEGATIVE, PROMPT, Moment, Predicted, Row
from gesso.plugin import guidance


@guidance(
    "dynamic_thresholding",
    title="Dynamic thresholding",
    paper="Saharia et al. 2022, Imagen (arXiv 2205.11487); mimic scale: mcmonkey, sd-dynamic-thresholding",
    order=60,
)
def dynamic_thresholding(
    moment: Moment,  # noqa: ARG001  (every guidance is given it)
    percentile: Annotated[float, Field(gt=0, le=1)] = 0.995,
    mimic: Annotated[float, Field(ge=0, le=100)] = 1.0,
    limit: Annotated[float | None, Field(gt=0)] = None,
) -> Generator[tuple[Row, ...], Predicted, Tensor]:
    """With ``limit`` (1 for models that paint pixels in -1..1) as in Imagen. Latents have no such limit; without one, each channel is
    squeezed about its mean into the range that it would have under guidance of the scale ``mimic``.
    """
    predicted = yield (NEGATIVE,) if limit is None and mimic != 1.0 else ()
    if limit is not None:
        return squeezed(predicted.x0, percentile, torch.tensor(limit).view(1, 1, 1, 1))
    like = predicted[PROMPT]
    if mimic != 1.0:
        like = predicted[NEGATIVE] + mimic * (like - predicted[NEGATIVE])
    middle, centred = _about_mean(predicted.x0)
    return middle + squeezed(centred, percentile, _about_mean(like)[1].abs().amax(dim=(2, 3), keepdim=True))


def squeezed(x0: Tensor, percentile: float, limit: Tensor) -> Tensor:
    """With s the percentile of |x0|, at least ``limit``: x0 is cut to -s..s and scaled to -limit..limit. ``limit`` is one for all
    (1, 1, 1, 1) or one for each channel (1, C, 1, 1), and so is the percentile.
    """
    s = torch.quantile(x0.abs().view(1, limit.shape[1], -1), percentile, dim=2).view(limit.shape).maximum(limit)
    return x0.clamp(-s, s) / s * limit


def _about_mean(x0: Tensor) -> tuple[Tensor, Tensor]:
    mean = x0.mean(dim=(2, 3), keepdim=True)
    return mean, x0 - mean
