"""The schedules equal published tables and diffusers' own, and keep their promises for every number of steps."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Any

import pytest
import torch

from gesso.errors import InvalidRequest
from gesso.model import Parametrisation
from gesso.plugin import ScheduleSpec
from gesso.testing import check_schedule, epsilon_model, flow_model
from gesso_plugins.samplers.plugin import SCHEDULES

SPECS = {spec.name: spec for spec in SCHEDULES}
SD = epsilon_model()
FLOW = flow_model()
TRAINING = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize("spec", SCHEDULES, ids=lambda spec: spec.name)
def test_conforms(spec: ScheduleSpec) -> None:
    check_schedule(spec)


NARROW = Parametrisation("v_prediction", tuple(0.1 * 1.05**i for i in range(60)))


@pytest.mark.parametrize("spec", [spec for spec in SCHEDULES if spec.name != "align_your_steps"], ids=lambda spec: spec.name)
def test_a_narrow_model_is_served_within_its_range(spec: ScheduleSpec) -> None:
    for steps in (1, 2, 5, 20):
        sigmas = spec(NARROW, steps)
        assert len(sigmas) == steps + 1
        assert all(NARROW.sigma_min * 0.999 <= sigma <= NARROW.sigma_max for sigma in sigmas[:-1]) or spec.name == "linear_quadratic"
        assert sigmas == sorted(set(sigmas), reverse=True)


@pytest.mark.parametrize("model", [NARROW, FLOW], ids=["narrow", "flow"])
def test_align_your_steps_refuses_what_it_was_not_made_for(model: Parametrisation) -> None:
    with pytest.raises(InvalidRequest, match="this model does not reach it") as refusal:
        SPECS["align_your_steps"](model, 10)
    assert refusal.value.field == "schedule"


def scheduler(name: str, **config: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import diffusers

        made = getattr(diffusers, name)(**TRAINING, **config)
        made.set_timesteps(10)
    return made


@pytest.mark.parametrize(
    ("schedule", "config"),
    [
        ("karras", {"use_karras_sigmas": True}),
        ("exponential", {"use_exponential_sigmas": True}),
        ("normal", {"timestep_spacing": "linspace"}),
        ("turbo", {"timestep_spacing": "trailing"}),
        ("ddim_uniform", {"timestep_spacing": "leading", "steps_offset": 1}),
    ],
)
def test_equals_diffusers(schedule: str, config: dict[str, Any]) -> None:
    theirs = scheduler("EulerDiscreteScheduler", **config).sigmas.tolist()
    ours = SPECS[schedule](SD, 10)
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("steps", [2, 7, 25, 100])
def test_linspace_takes_the_levels_of_unclip(steps: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import diffusers

        theirs = diffusers.UnCLIPScheduler()
    theirs.set_timesteps(steps)
    assert SPECS["linspace"](SD, steps) == [*(SD.sigmas[t] for t in theirs.timesteps.tolist()), 0.0]
    assert SPECS["linspace"](SD, 1) == [SD.sigma_max, 0.0]


def test_linear_quadratic_equals_the_one_of_mochi() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers.pipelines.mochi.pipeline_mochi import linear_quadratic_schedule
    for steps in (2, 8, 25, 64):
        theirs = [float(sigma) for sigma in linear_quadratic_schedule(steps, 0.025)]
        assert SPECS["linear_quadratic"](FLOW, steps) == pytest.approx([*theirs, 0.0])


@pytest.mark.parametrize(
    ("table", "published"), [("sd15", "StableDiffusion"), ("sdxl", "StableDiffusionXL"), ("svd", "StableDiffusionVideo")]
)
def test_align_your_steps_equals_the_published_tables(table: str, published: str) -> None:
    from diffusers.schedulers import AysSchedules

    model = Parametrisation("v_prediction", (0.001, 800.0)) if table == "svd" else SD
    assert SPECS["align_your_steps"](model, 10, table=table) == pytest.approx(AysSchedules[f"{published}Sigmas"], rel=1e-4)


def test_align_your_steps_between_the_published_levels() -> None:
    ten, twenty = SPECS["align_your_steps"](SD, 10), SPECS["align_your_steps"](SD, 20)
    assert twenty[0:20:2] == pytest.approx(ten[:-1])
    assert twenty[7] == pytest.approx(math.sqrt(ten[3] * ten[4]))


def test_karras_equals_the_formula() -> None:
    sigmas = SPECS["karras"](SD, 5, rho=7.0)
    low, high = SD.sigma_min ** (1 / 7), SD.sigma_max ** (1 / 7)
    assert sigmas[:-1] == pytest.approx([(high + i / 4 * (low - high)) ** 7 for i in range(5)])
    assert sigmas[0] == SD.sigma_max
    assert sigmas[4] == pytest.approx(SD.sigma_min)


@pytest.mark.parametrize("name", ["karras", "exponential", "polyexponential"])
def test_equals_k_diffusion(name: str, k_diffusion: Any) -> None:
    theirs = getattr(k_diffusion, f"get_sigmas_{name}")(12, SD.sigma_min, SD.sigma_max, **({"rho": 1.5} if "poly" in name else {}))
    assert SPECS[name](SD, 12) == pytest.approx(theirs.tolist(), rel=1e-5)


def test_vp_equals_k_diffusion_on_a_model_that_covers_it(k_diffusion: Any) -> None:
    wide = Parametrisation("epsilon", (0.001, 1000.0))
    assert SPECS["vp"](wide, 9) == pytest.approx(k_diffusion.get_sigmas_vp(9).tolist(), rel=5e-4)  # float32 there


def test_kl_optimal_is_even_in_the_arctangent() -> None:
    sigmas = SPECS["kl_optimal"](SD, 6)[:-1]
    steps = [math.atan(a) - math.atan(b) for a, b in pairwise(sigmas)]
    assert steps == pytest.approx([steps[0]] * 5)


def test_simple_picks_trained_levels_from_the_top() -> None:
    assert SPECS["simple"](SD, 4)[:-1] == [SD.sigmas[999], SD.sigmas[749], SD.sigmas[499], SD.sigmas[249]]
    assert set(SPECS["simple"](SD, 1000)[:-1]) == set(SD.sigmas)


def test_sgm_uniform_is_normal_with_one_step_more_without_its_last() -> None:
    assert SPECS["sgm_uniform"](SD, 7)[:-1] == pytest.approx(SPECS["normal"](SD, 8)[:-2])


def test_beta_has_the_quantiles_of_scipy() -> None:
    from scipy.stats import beta

    sigmas = SPECS["beta"](FLOW, 10)
    assert sigmas[:-1] == pytest.approx([0.001 + 0.999 * beta.ppf(1 - i / 10, 0.6, 0.6) for i in range(10)], rel=1e-6)
    gaps = [a - b for a, b in pairwise(sigmas)]
    assert gaps[0] < gaps[4] > gaps[9]


def test_laplace_is_densest_at_its_middle() -> None:
    logs = [math.log(sigma) for sigma in SPECS["laplace"](SD, 31)[:-1]]
    gaps = [a - b for a, b in pairwise(logs)]
    densest = gaps.index(min(gaps))
    assert abs(logs[densest]) < 0.1
    quantiles = torch.distributions.Laplace(0.0, 0.5).cdf(torch.tensor(logs, dtype=torch.float64))
    steps = -quantiles.diff()
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))


@pytest.mark.parametrize("name", ["simple", "ddim_uniform", "turbo", "linspace"])
def test_more_steps_than_levels_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot give 1001 steps") as refusal:
        SPECS[name](SD, 1001)
    assert refusal.value.field == "steps"
