"""A sampler for Gesso: the explicit midpoint rule."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from itertools import pairwise
from typing import Any

from gesso.plugin import PluginContext, SamplerSpec, hookimpl, sampler
from torch import Tensor


@sampler("midway", title="Midway", paper="Runge 1895: the explicit midpoint rule", order=2, evaluations=2)
def midway(x: Tensor, sigmas: Sequence[float]) -> Generator[tuple[Tensor, float], Any, Tensor]:
    """Go half a step, look again, go the whole step from where it began."""
    for sigma, target in pairwise(sigmas):
        middle = (sigma + target) / 2
        d = (x - (yield x, sigma).denoised) / sigma
        u = x + (middle - sigma) * d
        x = x + (target - sigma) * (u - (yield u, middle).denoised) / middle
    return x


@hookimpl
def gesso_samplers(ctx: PluginContext) -> Iterable[SamplerSpec]:
    """What this plugin adds to the list of samplers."""
    return [midway]
