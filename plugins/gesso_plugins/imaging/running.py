"""A run of a sampler, before and around it: its noise levels, the noise it starts from, how many evaluations it takes. It has no model."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import torch

from gesso.engine import Denoised, Run, Wait
from gesso.errors import PluginError
from gesso.math import Noise
from gesso.model import Parametrisation
from gesso.plugin import SamplerSpec, ScheduleSpec


def beside(remote: bool, function: Callable[..., Any], *args: Any) -> Generator[Any, Any, Any]:
    """A function's value; where it has to wait for a plugin in a process of its own, others go on meanwhile."""
    if remote:
        return (yield Wait(function, args))
    return function(*args)


def noise_levels(schedule: ScheduleSpec, parametrisation: Parametrisation, steps: int) -> list[float]:
    """What a schedule gives, checked: at least one step, from above zero, every level a finite number of at least zero."""
    levels = [float(level) for level in schedule(parametrisation, steps)]
    if len(levels) < 2 or levels[0] <= 0 or not all(0 <= level < math.inf for level in levels):
        raise PluginError(f"The schedule {schedule.name!r} gave no usable noise levels for {steps} steps.", hint="Choose another schedule.")
    return levels


def pure_noise(unit: torch.Tensor, sigma: float, parametrisation: Parametrisation) -> torch.Tensor:
    """What a picture out of nothing starts from: as wide as the noisy pictures that the model was trained on at this level.

    Latents have about unit variance, so that x = x0 + sigma * noise has 1 + sigma^2, as ComfyUI and diffusers' DDIM begin; k-diffusion's
    sigma alone is a little too dark and narrow. Rectified flow is plain noise at its level.
    """
    return unit * (sigma if parametrisation.is_flow else (1.0 + sigma**2) ** 0.5)


def evaluations(sampler: SamplerSpec, sigmas: list[float], parametrisation: Parametrisation) -> int | None:
    """How many model evaluations a run takes, counted on a picture of one pixel; None where it depends on the picture."""
    if sampler.evaluations == 0:
        return None
    pixel = torch.zeros(1, 1, 1, 1)
    with Run(called(sampler, pixel, sigmas, Noise.like(pixel, 0), parametrisation), name=sampler.name) as run:
        run.request()
        while not run.done:
            run.answer(Denoised(pixel, pixel, (pixel,)))
        return run.evaluations


def called(
    sampler: SamplerSpec, x: torch.Tensor, sigmas: list[float], noise: Noise, parametrisation: Parametrisation
) -> Generator[Any, Any, Any]:
    """The sampler at work, given what it names among its arguments."""
    given = {"noise": noise, "parametrisation": parametrisation}
    return sampler(x, sigmas, **{name: value for name, value in given.items() if name in sampler.takes})
