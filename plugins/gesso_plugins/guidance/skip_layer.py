"""Skip-layer guidance: away from what the network would paint without some of its layers, towards better anatomy and detail."""

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
    "skip_layer",
    title="Skip-layer guidance",
    paper="Stability AI 2024, Stable Diffusion 3.5 (sd3.5, SkipLayerCFGDenoiser)",
    aliases=("slg",),
)
def skip_layer(
    moment: Moment, scale: Annotated[float, Field(ge=0, le=100)] = 2.5, schedule: Ramp = "constant", layers: tuple[str, ...] = ()
) -> Generator[tuple[Row, ...], Predicted, Tensor]:
    """The transformer blocks of ``layers`` add nothing in the perturbed row. Stability AI let it be heard from 1 % to 20 % of the
    steps only.
    """
    return (yield from away_from(Perturbation("skip", layers), ramped(scale, schedule, moment.fraction)))
