"""Linear multistep: the slope is extrapolated by the polynomial in sigma through the last slopes, and integrated exactly."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso.math import lagrange_weights
from gesso.plugin import sampler

if TYPE_CHECKING:
    from torch import Tensor

    from gesso_plugins.samplers.steps import Steps


def _multistep(x: Tensor, sigmas: Sequence[float], order: int) -> Steps:
    slopes: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        slopes = [(x - (yield x, sigma).denoised) / sigma, *slopes][:order]
        weights = lagrange_weights(sigmas[i::-1][: len(slopes)], sigma, sigma_next)
        for weight, slope in zip(weights, slopes, strict=True):
            x = x + weight * slope
    return x


@sampler(
    "lms",
    title="LMS",
    paper="Crowson, k-diffusion: Adams-Bashforth for steps of any length (Hairer, Norsett and Wanner 1993, section III.5)",
    order=4,
    aliases=("k_lms", "LMSDiscreteScheduler"),
)
def lms(x: Tensor, sigmas: Sequence[float], *, order: int = 4) -> Steps:
    """``order`` 1 is Euler; the first steps have as many slopes as there are."""
    return (yield from _multistep(x, sigmas, order))


@sampler(
    "ipndm_v",
    title="IPNDM_V",
    paper="Zhang and Chen 2023 (arXiv 2204.13902), iPNDM, with weights for steps of any length: the same trajectory as lms",
    order=4,
)
def ipndm_v(x: Tensor, sigmas: Sequence[float], *, order: int = 4) -> Steps:
    """IPNDM integrates the extrapolated noise over sigma; with variable steps that is linear multistep."""
    return (yield from _multistep(x, sigmas, order))
