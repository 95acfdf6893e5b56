"""Perturbed-attention guidance: away from pictures whose places do not see one another, towards coherent structure."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated

from pydantic import Field
from torch import Tensor

from gesso.engine import Moment, Predicted, Row
from gesso.model import Perturbation
from gesso.plugin import guidance
from gesso_plugins.guidance.away import away_from
from gesso_plugins.guidance.ramps import Ramp, ramped


@guidance(
    "perturbed_attention",
    title="Perturbed-attention guidance",
    paper="Ahn et al. 2024 (arXiv 2403.17377)",
    aliases=("pag",),
)
def perturbed_attention(
    moment: Moment, scale: Annotated[float, Field(ge=0, le=100)] = 3.0, schedule: Ramp = "constant", layers: tuple[str, ...] = ()
) -> Generator[tuple[Row, ...], Predicted, Tensor]:
    """The self-attention of ``layers`` is the identity in the perturbed row. It works beside classifier-free guidance and without it."""
    return (yield from away_from(Perturbation("attention", layers), ramped(scale, schedule, moment.fraction)))
