"""Guidance rescale: takes back the contrast that strong guidance adds."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated

from pydantic import Field
from torch import Tensor

from gesso.engine import PROMPT, Moment, Predicted, Row
from gesso.plugin import guidance


@guidance("rescale", title="Guidance rescale", paper="Lin et al. 2024 (arXiv 2305.08891), section 3.4", order=50, aliases=("cfg_rescale",))
def rescale(moment: Moment, phi: Annotated[float, Field(ge=0, le=1)] = 0.7) -> Generator[tuple[Row, ...], Predicted, Tensor]:
    """On what the network predicts (epsilon, v, x0 or the flow's velocity), as diffusers has it: the guided
    prediction gets the standard deviation of the prompt's own, and is mixed with itself by ``phi``.
    """
    predicted = yield ()
    if phi == 0.0 or moment.sigma == 0.0 or predicted.x0 is predicted[PROMPT]:
        return predicted.x0
    shift, factor = network(moment)
    guided, own = (predicted.x0 - shift * moment.x) / factor, (predicted[PROMPT] - shift * moment.x) / factor
    rescaled = guided * (own.std() / guided.std())
    return shift * moment.x + factor * (phi * rescaled + (1.0 - phi) * guided)


def network(moment: Moment) -> tuple[float, float]:
    """(a, b) with x0 = a * x + b * (the network's own prediction), for x as samplers know it."""
    sigma = moment.sigma
    match moment.parametrisation.prediction:
        case "sample":
            return 0.0, 1.0
        case "v_prediction":
            variance = sigma**2 + 1.0
            return 1.0 / variance, -sigma * variance**-0.5
        case _:
            return 1.0, -sigma  # epsilon; the flow's velocity is noise - x0, and x - sigma * velocity = x0
