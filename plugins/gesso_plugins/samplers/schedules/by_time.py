"""Schedules that pick from the model's trained noise levels by their number, and the published tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from gesso.errors import InvalidRequest
from gesso.math import sigma_at
from gesso.plugin import schedule
from gesso_plugins.samplers.schedules.by_sigma import ramp

if TYPE_CHECKING:
    from gesso.model import Parametrisation

AYS_TABLES = {
    "sd15": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
    "svd": (700.00, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}
"""Schedules of Sabour et al. 2024, published with the paper: for ten steps, the first ten levels and 0."""


def _enough(parametrisation: Parametrisation, steps: int, name: str) -> int:
    """The number of trained levels; refuses more steps than there are."""
    trained = len(parametrisation.sigmas)
    if steps > trained:
        raise InvalidRequest(
            f"The schedule {name} picks from the model's {trained} trained noise levels and cannot give {steps} steps.",
            field="steps",
            hint=f"Ask for at most {trained} steps, or choose another schedule such as karras.",
        )
    return trained


@schedule(
    "simple",
    title="Simple",
    paper="ComfyUI's `simple`: every (T / steps)-th trained level, from the highest",
)
def simple(parametrisation: Parametrisation, steps: int) -> list[float]:
    """Trained levels at even distance, the highest included."""
    trained = _enough(parametrisation, steps, "simple")
    return [*(parametrisation.sigmas[-(1 + i * trained // steps)] for i in range(steps)), 0.0]


@schedule(
    "normal",
    title="Normal",
    paper="Crowson, k-diffusion (external.py, DiscreteSchedule.get_sigmas)",
    aliases=("uniform", "discrete"),
)
def normal(parametrisation: Parametrisation, steps: int) -> list[float]:
    """Even in time, from the highest trained level to the lowest."""
    end = len(parametrisation.sigmas) - 1
    return [*(sigma_at(parametrisation, end * (1 - s)) for s in ramp(steps)), 0.0]


@schedule(
    "sgm_uniform",
    title="SGM Uniform",
    paper="Stability AI, generative-models (discretizer.py, LegacyDDPMDiscretization)",
    aliases=("sgm",),
)
def sgm_uniform(parametrisation: Parametrisation, steps: int) -> list[float]:
    """Even in time like `normal`, but the step after the last would be the lowest trained level: it ends higher."""
    end = len(parametrisation.sigmas) - 1
    return [*(sigma_at(parametrisation, end * (1 - i / steps)) for i in range(steps)), 0.0]


@schedule(
    "ddim_uniform",
    title="DDIM Uniform",
    paper="Song et al. 2021, DDIM (arXiv 2010.02502), appendix D.2: linear tau",
    aliases=("ddim",),
)
def ddim_uniform(parametrisation: Parametrisation, steps: int) -> list[float]:
    """Every (T // steps)-th trained level counted from the second lowest ("leading" spacing), so it starts below the highest."""
    trained = _enough(parametrisation, steps, "ddim_uniform")
    stride = trained // steps
    return [*(parametrisation.sigmas[min(i * stride + 1, trained - 1)] for i in reversed(range(steps))), 0.0]


@schedule("beta", title="Beta", paper="Lee et al. 2024, Beta Sampling is All You Need (arXiv 2407.12173)")
def beta(parametrisation: Parametrisation, steps: int, alpha: float = 0.6, beta: float = 0.6) -> list[float]:
    """Times at even quantiles of a Beta distribution: dense at both ends."""
    from scipy.special import betaincinv

    end = len(parametrisation.sigmas) - 1
    return [*(sigma_at(parametrisation, end * float(betaincinv(alpha, beta, 1 - i / steps))) for i in range(steps)), 0.0]


@schedule(
    "turbo",
    title="Turbo",
    paper="Sauer et al. 2023, Adversarial Diffusion Distillation (arXiv 2311.17042); trailing times of Lin et al. 2024",
    aliases=("sd_turbo", "trailing"),
)
def turbo(parametrisation: Parametrisation, steps: int) -> list[float]:
    """The last trained level of each of ``steps`` equal spans ("trailing" spacing, Lin et al. 2024, arXiv 2305.08891, table 2)."""
    trained = _enough(parametrisation, steps, "turbo")
    return [*(parametrisation.sigmas[round(trained * (steps - i) / steps) - 1] for i in range(steps)), 0.0]


@schedule(
    "linspace",
    title="Linspace",
    paper="Lin et al. 2024, Common Diffusion Noise Schedules (arXiv 2305.08891), table 2: linspace; UnCLIPScheduler of Karlo",
)
def linspace(parametrisation: Parametrisation, steps: int) -> list[float]:
    """Even in time like `normal`, from the highest trained level to the lowest, but each of them a trained one."""
    last = _enough(parametrisation, steps, "linspace") - 1
    times = [round(i * (last / (steps - 1))) for i in range(steps)] if steps > 1 else [last]
    return [*(parametrisation.sigmas[time] for time in reversed(times)), 0.0]


@schedule(
    "align_your_steps",
    title="Align Your Steps",
    paper="Sabour et al. 2024, Align Your Steps (arXiv 2404.14507), published tables",
    aliases=("ays",),
)
def align_your_steps(parametrisation: Parametrisation, steps: int, table: Literal["sd15", "sdxl", "svd"] = "sd15") -> list[float]:
    """A table optimised for one model, interpolated log-linearly to ``steps`` + 1, the last then 0. Refused where it does not fit."""
    published = AYS_TABLES[table]
    if parametrisation.is_flow or published[1] >= parametrisation.sigma_max:
        raise InvalidRequest(
            f"The schedule align_your_steps ({table}) goes down from a noise level of {published[0]:g}; this model does not reach it.",
            field="schedule",
            hint="Choose another schedule, such as karras or beta.",
        )
    logs = [math.log(min(sigma, parametrisation.sigma_max)) for sigma in published]
    levels = []
    for s in ramp(steps + 1)[:-1]:
        place = s * (len(logs) - 1)
        low = min(int(place), len(logs) - 2)
        levels.append(min(parametrisation.sigma_max, math.exp(logs[low] + (place - low) * (logs[low + 1] - logs[low]))))
    return [*levels, 0.0]
