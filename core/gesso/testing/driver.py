"""Runs one sampler against a plain denoiser function, without an engine. The requests are checked as the engine checks them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gesso.engine import Denoised, Run
from gesso.math import Noise, NoiseSource
from gesso.model import Parametrisation
from gesso.plugin import SamplerSpec
from gesso.testing.denoisers import epsilon_model

PlainDenoiser = Callable[[Tensor, float], Denoised]
"""``denoiser(x, sigma)`` -> its answer at once."""


@dataclass(frozen=True)
class Trajectory:
    """What a sampler did: each (x, sigma) that it asked about, and what it returned."""

    requests: tuple[tuple[Tensor, float], ...]
    x: Tensor

    @property
    def levels(self) -> tuple[float, ...]:
        """The noise levels in the order in which they were asked about."""
        return tuple(sigma for _, sigma in self.requests)


def start(spec: SamplerSpec, x: Tensor, sigmas: Sequence[float], given: dict[str, Any], options: dict[str, Any]) -> Run:
    """The sampler at its first request, given what it names of ``noise`` and ``parametrisation``."""
    arguments = {name: value for name, value in given.items() if name in spec.takes}
    return Run(spec(x, sigmas, **arguments, **options), name=spec.name)


def trace(
    spec: SamplerSpec,
    denoiser: PlainDenoiser,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    noise: NoiseSource | None = None,
    model: Parametrisation | None = None,
    **options: Any,
) -> Trajectory:
    """Run to the end and keep the requests. ``noise`` is that of seed 0 unless given, ``model`` that of Stable Diffusion 1.5."""
    given = {"noise": noise or Noise.like(x, 0), "parametrisation": model or epsilon_model()}
    requests = []
    with start(spec, x, sigmas, given, options) as running:
        request = running.request()
        while not running.done:
            requests.append(request)
            running.answer(denoiser(*request))
            request = running.request()
        return Trajectory(tuple(requests), running.x)


def run(
    spec: SamplerSpec,
    denoiser: PlainDenoiser,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    noise: NoiseSource | None = None,
    model: Parametrisation | None = None,
    **options: Any,
) -> Tensor:
    """Run to the end; returns the final x."""
    return trace(spec, denoiser, x, sigmas, noise=noise, model=model, **options).x
