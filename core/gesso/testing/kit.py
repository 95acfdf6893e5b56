"""The conformance kit: what Gesso relies on in every sampler and schedule, as checks that raise AssertionError with a sentence.

Plugin authors call it from their own tests. It takes a second or two and needs no model, no daemon and no network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from gesso.engine import Denoised
from gesso.engine.guard import Ambient
from gesso.errors import InvalidRequest
from gesso.math import Noise, Space, initial_noise
from gesso.model import Parametrisation
from gesso.plugin import SamplerSpec, ScheduleSpec
from gesso.testing.denoisers import Consistency, Gaussian, Wavy, epsilon_model, flow_model
from gesso.testing.driver import PlainDenoiser, Trajectory, start, trace

MEAN = (0.7, -0.4)
COVARIANCE = ((1.0, 0.6), (0.6, 0.5))
TOLERANCE = 0.15
"""How far mean (in standard deviations) and covariance (relative) may be off after 60 steps."""


def levels(model: Parametrisation, steps: int) -> list[float]:
    """A schedule for tests: even in sigma^(1/7) for epsilon models, even in sigma for flows; ``steps`` + 1 levels, ending in 0."""
    power = 1.0 if model.is_flow else 1 / 7
    high, low = model.sigma_max**power, model.sigma_min**power
    if model.is_flow:
        return [high * (1 - i / steps) for i in range(steps)] + [0.0]
    return [(high + i / max(steps - 1, 1) * (low - high)) ** (1 / power) for i in range(steps)] + [0.0]


Model = Literal["denoiser", "consistency", "point"]
"""What answers when a distribution is drawn: the posterior mean; the exact consistency function; or a model that knows one picture."""


def check_sampler(spec: SamplerSpec, *, model: Model = "denoiser", **options: Any) -> None:
    """Raise AssertionError if Gesso could not rely on the sampler; ``options`` are handed to it.

    For epsilon and flow models: requests and result are right in kind and shape; equal seeds give equal bits; noise is the injected one
    only; nothing global changes; inputs and replies are left alone; it closes at any request; 1, 2 and 3 steps work; it draws a known
    Gaussian.
    Samplers for distilled models do not draw from the posterior mean's distribution: give ``model="consistency"`` for those that use a
    consistency function, ``"point"`` for others. A sampler may refuse flow models with InvalidRequest.
    """
    for trained in (epsilon_model(), flow_model()):
        with torch.no_grad():
            try:
                _traced(spec, trained, 1, options)
            except InvalidRequest:
                assert trained.is_flow, f"the sampler {spec.name!r} refuses an epsilon model"
                continue
            _check_steps(spec, trained, options)
            _check_seeds(spec, trained, options)
            _check_manners(spec, trained, options)
            _check_closing(spec, trained, options)
            _check_distribution(spec, trained, model, options)


def check_schedule(spec: ScheduleSpec, **options: Any) -> None:
    """Raise AssertionError unless the schedule gives steps + 1 floats from the model's range, strictly falling to 0, for 1 to 100 steps.

    A schedule may refuse a model or a number of steps with InvalidRequest.
    """
    for model in (epsilon_model(), flow_model()):
        for steps in (1, 2, 3, 4, 7, 10, 20, 30, 50, 77, 100):
            try:
                sigmas = spec(model, steps, **options)
            except InvalidRequest:
                continue
            where = f"the schedule {spec.name!r} with {steps} steps on {'a flow' if model.is_flow else 'an epsilon'} model"
            assert len(sigmas) == steps + 1, f"{where} gives {len(sigmas)} levels instead of {steps + 1}"
            assert all(type(sigma) is float and math.isfinite(sigma) for sigma in sigmas), f"{where} gives other things than finite floats"
            assert sigmas[-1] == 0, f"{where} ends in {sigmas[-1]} instead of 0"
            assert all(a > b for a, b in pairwise(sigmas)), f"{where} does not fall strictly"
            assert sigmas[0] <= model.sigma_max, f"{where} starts at {sigmas[0]}, above the model's highest level {model.sigma_max}"


def _traced(spec: SamplerSpec, model: Parametrisation, steps: int, options: dict[str, Any], seed: int = 3) -> Trajectory:
    sigmas = levels(model, steps)
    x = initial_noise((1, 4, 6, 5), 1) * sigmas[0]
    return trace(spec, Wavy(model), x, sigmas, noise=Noise.like(x, seed), model=model, **options)


def _same(one: Trajectory, other: Trajectory) -> bool:
    return one.levels == other.levels and torch.equal(one.x, other.x)


def _check_steps(spec: SamplerSpec, model: Parametrisation, options: dict[str, Any]) -> None:
    for steps in (1, 2, 3, 12):
        done = _traced(spec, model, steps, options)
        assert done.requests, f"the sampler {spec.name!r} asked for no evaluation in {steps} steps"
        for x, sigma in done.requests:
            assert 0 < sigma < math.inf, f"the sampler {spec.name!r} asks about sigma {sigma}, where no model can answer"
            assert not model.is_flow or sigma <= 1, f"the sampler {spec.name!r} asks a flow model about sigma {sigma} above 1"
            assert x.dtype == torch.float32, f"the sampler {spec.name!r} turns float32 into {x.dtype}"
        assert done.x.shape == (1, 4, 6, 5), f"the sampler {spec.name!r} returns the shape {tuple(done.x.shape)} for (1, 4, 6, 5)"
        if spec.evaluations:
            most = steps * spec.evaluations + 1
            count = len(done.requests)
            assert count <= most, f"the sampler {spec.name!r} declares {spec.evaluations} evaluations a step but takes {count} in {steps}"


def _check_seeds(spec: SamplerSpec, model: Parametrisation, options: dict[str, Any]) -> None:
    first = _traced(spec, model, 8, options)
    torch.manual_seed(1234)
    again = _traced(spec, model, 8, options)
    assert _same(first, again), f"the sampler {spec.name!r} gives two results for one seed; draw only from `noise`"
    other = _traced(spec, model, 8, options, seed=4)
    if spec.stochastic:
        assert not _same(first, other), f"the sampler {spec.name!r} is declared stochastic but ignores the seed"
    else:
        assert _same(first, other), f"the sampler {spec.name!r} uses noise; declare stochastic=True"


def _check_manners(spec: SamplerSpec, model: Parametrisation, options: dict[str, Any]) -> None:
    sigmas = levels(model, 6)
    x = initial_noise((1, 4, 6, 5), 1) * sigmas[0]
    kept: list[tuple[Tensor, Tensor]] = [(x, x.clone())]
    given = {"noise": Noise.like(x, 3), "parametrisation": model}
    answer, ambient = Wavy(model), Ambient()
    with start(spec, x, sigmas, given, options) as running:
        request = running.request()
        while not running.done:
            leaks = ambient.leaks()
            assert not leaks, f"the sampler {spec.name!r} changes {', '.join(leaks)} between its steps"
            reply = answer(*request)
            kept += [(tensor, tensor.clone()) for tensor in (request[0], reply.denoised, reply.uncond)]
            running.answer(reply)
            request = running.request()
    leaks = ambient.leaks()
    assert not leaks, f"the sampler {spec.name!r} leaves {', '.join(leaks)} changed"
    assert all(torch.equal(tensor, copy) for tensor, copy in kept), f"the sampler {spec.name!r} writes into its input or into a reply"


def _check_closing(spec: SamplerSpec, model: Parametrisation, options: dict[str, Any]) -> None:
    sigmas = levels(model, 4)
    x = initial_noise((1, 4, 6, 5), 1) * sigmas[0]
    arguments = {name: value for name, value in {"noise": Noise.like(x, 3), "parametrisation": model}.items() if name in spec.takes}
    for asked in range(1, 5):
        steps = spec(x, sigmas, **arguments, **options)
        request, answer = next(steps), Wavy(model)
        try:
            for _ in range(asked - 1):
                request = steps.send(answer(*request))
        except StopIteration:
            return
        try:
            steps.close()
        except RuntimeError as fault:
            raise AssertionError(f"the sampler {spec.name!r} goes on after it was closed at request {asked}") from fault


def _check_distribution(spec: SamplerSpec, model: Parametrisation, kind: Model, options: dict[str, Any]) -> None:
    mean, scale = torch.tensor(MEAN, dtype=torch.float64), torch.tensor(COVARIANCE, dtype=torch.float64)
    covariance = 0 * scale if kind == "point" else scale
    exact = (Consistency if kind == "consistency" else Gaussian)(model, mean, covariance)
    drawn_mean, drawn_covariance = moments(spec, exact, model, levels(model, 60), options)
    off = ((drawn_mean - mean) / scale.diagonal().sqrt()).abs().max().item()
    assert off < TOLERANCE, f"the sampler {spec.name!r} draws a Gaussian whose mean is {off:.2f} standard deviations off"
    off = ((drawn_covariance - covariance) / scale).abs().max().item()
    assert off < TOLERANCE, f"the sampler {spec.name!r} draws a Gaussian whose covariance is off by {off:.0%}"


def moments(
    spec: SamplerSpec, exact: PlainDenoiser, model: Parametrisation, sigmas: Sequence[float], options: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """Mean (2,) and covariance (2, 2) of 4096 pixels of two channels, drawn from the prior of ``model``."""

    def answer(x: Tensor, sigma: float) -> Denoised:
        return exact(x, sigma)

    unit = initial_noise((1, 2, 64, 64), 1).double()
    x = exact.start(unit, sigmas[0]) if isinstance(exact, Gaussian) else Space.of(model).mix(0 * unit, unit, sigmas[0])
    drawn = trace(spec, answer, x, sigmas, noise=Noise.like(x, 2), model=model, **options).x[0].flatten(1)
    return drawn.mean(1), torch.cov(drawn)
