"""CLIP guidance: each step goes a little up the slope of what CLIP says of the picture that is coming."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated

from pydantic import Field
from torch import Tensor

from gesso.engine import Gradient, Moment, Predicted
from gesso.plugin import guidance
from gesso_plugins.clip.choice import LIKENS

NEARLY_NOISE = 0.02
"""Of a flow, the share of picture below which a step counts as having as much: nothing is divided by less."""


@guidance(
    "clip",
    title="CLIP guidance",
    paper="Dhariwal and Nichol 2021 (arXiv 2105.05233), equation 10; Nichol et al. 2022, GLIDE (arXiv 2112.10741), section 2.4",
    aliases=("clip_guidance",),
    judge=LIKENS,
)
def clip_guidance(
    moment: Moment,
    scale: Annotated[float, Field(ge=0, le=100_000)] = 30.0,
    views: Annotated[int, Field(ge=1, le=64)] = 4,
    limit: Annotated[float, Field(gt=0, le=10)] = 0.3,
    judge: str = "",  # noqa: ARG001  (`moment.judge` is the model)
) -> Generator[tuple[Gradient, ...], Predicted, Tensor]:
    """The score of the noisy picture gains s times the gradient on x of the cosine between picture and prompt. With x0 = x + sigma^2 *
    score (epsilon, v, x0) or x0 = (x + t^2 * score) / (1 - t) (flows), x0 moves by s times that gradient times sigma^2, or t^2 / (1 - t).

    GLIDE takes a CLIP that was trained on noisy pictures; this one is shown what the prompt's x0 decodes to, through the decoder and the
    denoiser, as any CLIP can be. At 0, or without words, no gradient is computed.
    """
    if scale == 0.0 or not moment.prompt.strip():
        return (yield ()).x0
    predicted = yield (Gradient("distance", {"text": moment.prompt, "views": views}),)
    sigma = moment.sigma
    variance = sigma**2 / max(1.0 - sigma, NEARLY_NOISE) if moment.parametrisation.is_flow else sigma**2
    assert predicted.gradient is not None
    shift: Tensor = scale * variance * predicted.gradient
    longest = limit * predicted.x0.norm()
    moved: Tensor = predicted.x0 - shift * (longest / shift.norm().clamp_min(longest))
    return moved
