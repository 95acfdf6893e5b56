"""k-diffusion's own functions, run unchanged through `from_k_diffusion`: equal bits, no leaks, clean ends."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
import torch
from torch import Tensor

from gesso.engine import Denoised, Run
from gesso.errors import InvalidRequest, PluginError, SamplerFault
from gesso.math import Noise, initial_noise
from gesso.plugin import from_k_diffusion
from gesso.testing import Wavy, check_sampler, epsilon_model, flow_model, trace
from gesso_plugins.samplers.schedules.by_sigma import karras

MODEL = epsilon_model()
LEVELS = karras(MODEL, 7)
SIGMAS = torch.tensor(LEVELS)


def start() -> Tensor:
    return initial_noise((1, 2, 4, 4), 1) * LEVELS[0]


def toy(x: Tensor, sigma: Tensor) -> Tensor:
    return Wavy(MODEL)(x, float(sigma[0])).denoised


NAMES = [
    "euler", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_sde",
    "dpmpp_3m_sde",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_gives_the_bits_of_a_direct_call(name: str, k_diffusion: Any) -> None:
    function = getattr(k_diffusion, f"sample_{name}")
    spec = from_k_diffusion(function)
    noise = Noise.like(start(), 5)
    options = {"noise_sampler": lambda a, b: noise(0.0, 0.0)} if spec.stochastic else {}
    state = torch.get_rng_state()
    torch.manual_seed(5)  # euler, heun and dpm_2 draw from the global generator even where they add no noise
    direct = function(toy, start(), SIGMAS, disable=True, **options)
    torch.set_rng_state(state)
    ours = trace(spec, Wavy(MODEL), start(), LEVELS, noise=Noise.like(start(), 5), model=MODEL)
    assert torch.equal(ours.x, direct)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2"])
def test_churn_draws_from_a_generator_of_its_own(name: str, k_diffusion: Any) -> None:
    function = getattr(k_diffusion, f"sample_{name}")
    state = torch.get_rng_state()
    torch.manual_seed(11)
    direct = function(toy, start(), SIGMAS, disable=True, s_churn=3.0)
    torch.set_rng_state(state)
    ours = trace(from_k_diffusion(function), Wavy(MODEL), start(), LEVELS, noise=Noise.like(start(), 11), model=MODEL, s_churn=3.0)
    assert torch.equal(ours.x, direct)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["dpm_fast", "dpm_adaptive"])
def test_functions_that_ask_for_the_ends(name: str, k_diffusion: Any) -> None:
    function = getattr(k_diffusion, f"sample_{name}")
    n = {"n": 7} if name == "dpm_fast" else {}
    direct = function(toy, start(), sigma_min=LEVELS[-2], sigma_max=LEVELS[0], disable=True, **n)
    assert torch.equal(trace(from_k_diffusion(function), Wavy(MODEL), start(), LEVELS, model=MODEL).x, direct)


def test_the_brownian_path_is_offered_on_demand(k_diffusion: Any) -> None:
    noise = Noise.like(start(), 5)
    direct = k_diffusion.sample_dpmpp_sde(toy, start(), SIGMAS, disable=True, noise_sampler=lambda a, b: noise.brownian(float(a), float(b)))
    spec = from_k_diffusion(k_diffusion.sample_dpmpp_sde, brownian=True)
    assert torch.equal(trace(spec, Wavy(MODEL), start(), LEVELS, noise=Noise.like(start(), 5), model=MODEL).x, direct)


@pytest.mark.parametrize("name", ["euler_ancestral", "dpmpp_2m", "heun"])
def test_conforms(name: str, k_diffusion: Any) -> None:
    check_sampler(from_k_diffusion(getattr(k_diffusion, f"sample_{name}"), flow=name == "heun"))


def test_flows_are_refused_unless_it_says_it_can(k_diffusion: Any) -> None:
    flow = flow_model()
    with pytest.raises(InvalidRequest, match="cannot run a rectified-flow model"):
        trace(from_k_diffusion(k_diffusion.sample_dpmpp_2m), Wavy(flow), start(), [1.0, 0.5, 0.0], model=flow)


def test_the_spec_names_the_options(k_diffusion: Any) -> None:
    spec = from_k_diffusion(k_diffusion.sample_dpmpp_2m_sde)
    assert (spec.name, spec.stochastic) == ("dpmpp_2m_sde", True)
    assert spec.takes == {"noise", "parametrisation", "eta", "s_noise", "solver_type"}
    named = from_k_diffusion(k_diffusion.sample_lms, name="old_lms", title="Old LMS", paper="nowhere", order=4, evaluations=1)
    assert (named.name, named.title, named.order, named.stochastic) == ("old_lms", "Old LMS", 4, False)


def test_two_at_once_do_not_mix(k_diffusion: Any) -> None:
    specs = [from_k_diffusion(k_diffusion.sample_euler), from_k_diffusion(k_diffusion.sample_heun)]
    alone = [trace(spec, Wavy(MODEL), start(), LEVELS, model=MODEL, s_churn=2.0).x for spec in specs]
    runs = [Run(spec(start(), LEVELS, noise=Noise.like(start(), 0), parametrisation=MODEL, s_churn=2.0)) for spec in specs]
    while not all(run.done for run in runs):
        waiting = [run for run in runs if run.request() and not run.done]
        xs = torch.cat([run.x for run in waiting])  # one forward for both
        for i, run in enumerate(waiting):
            run.answer(Wavy(MODEL)(xs[i : i + 1], run.sigma))
    assert all(torch.equal(run.x, x) for run, x in zip(runs, alone, strict=True))


def sampler(log: list[str], body: Callable[[Callable[..., Tensor], Tensor], Tensor]) -> Generator[Any, Any, Tensor]:
    def sample(model: Callable[..., Tensor], x: Tensor, sigmas: Tensor) -> Tensor:
        try:
            return body(model, x)
        finally:
            log.append("finally")

    return from_k_diffusion(sample)(start(), LEVELS, noise=Noise.like(start(), 0), parametrisation=MODEL)


def test_closing_unwinds_the_function() -> None:
    log: list[str] = []
    steps = sampler(log, lambda model, x: model(x, SIGMAS[:1]))
    next(steps)
    assert log == []
    steps.close()
    assert log == ["finally"]


def test_closing_before_the_start_runs_nothing() -> None:
    log: list[str] = []
    sampler(log, lambda model, x: x).close()
    assert log == []


def test_a_function_that_goes_on_after_close_is_told() -> None:
    def stubborn(model: Callable[..., Tensor], x: Tensor) -> Tensor:
        try:
            return model(x, SIGMAS[:1])
        finally:
            model(x, SIGMAS[1:2])

    steps = sampler([], stubborn)
    next(steps)
    with pytest.raises(RuntimeError, match="goes on after it was closed"):
        steps.close()


def test_what_it_raises_arrives() -> None:
    def broken(model: Callable[..., Tensor], x: Tensor) -> Tensor:
        model(x, SIGMAS[:1])
        raise ValueError("no such order")

    log: list[str] = []
    with Run(sampler(log, broken)) as run:
        answer = Wavy(MODEL)(*run.request())
        with pytest.raises(SamplerFault, match="ValueError: no such order"):
            run.answer(answer)
    assert log == ["finally"]


def test_a_failed_evaluation_is_raised_at_the_call() -> None:
    caught: list[Exception] = []

    def careful(model: Callable[..., Tensor], x: Tensor) -> Tensor:
        try:
            return model(x, SIGMAS[:1])
        except OverflowError as fault:
            caught.append(fault)
            return model(x, SIGMAS[1:2])

    steps = sampler([], careful)
    assert next(steps)[1] == pytest.approx(LEVELS[0])
    assert steps.throw(OverflowError("too large"))[1] == pytest.approx(LEVELS[1])
    assert len(caught) == 1
    with pytest.raises(StopIteration) as end:
        steps.send(Denoised(start(), start()))
    assert torch.equal(end.value.value, start())


def test_grad_mode_stays_inside(k_diffusion: Any) -> None:
    steps = from_k_diffusion(k_diffusion.sample_euler)(start(), LEVELS, noise=Noise.like(start(), 0), parametrisation=MODEL)
    assert torch.is_grad_enabled()
    next(steps)
    assert torch.is_grad_enabled()
    steps.close()
    assert torch.is_grad_enabled()


def test_what_is_no_sampler_is_refused() -> None:
    with pytest.raises(PluginError, match="no k-diffusion sampler"):
        from_k_diffusion(lambda image, strength: image)
