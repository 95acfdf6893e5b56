"""Every sampler that diffusers has equals diffusers': the same requests on the same noise levels with the same noise.

A scheduler works in its own scale of x; both are compared in the scale in which samplers work here.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

from gesso.math import Noise, initial_noise
from gesso.model import Parametrisation
from gesso.testing import Trajectory, Wavy, epsilon_model, flow_model, trace
from gesso_plugins.samplers.plugin import SAMPLERS

SPECS = {spec.name: spec for spec in SAMPLERS}
TRAINING = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


class Sequential:
    """Noise that is the same for the n-th draw whatever it is asked for; for sa_solver, for all."""

    seed = 0

    def __init__(self, x: Tensor, case: Case) -> None:
        self._noise = Noise.like(x, 5)
        self._first = self._noise(0.0, 0.0) if case.sampler == "sa_solver" else None  # diffusers draws also where it adds none

    def __call__(self, *_: object, **__: object) -> Tensor:
        return self._noise(0.0, 0.0) if self._first is None else self._first

    brownian = __call__


@dataclass(frozen=True)
class Case:
    """A scheduler and our sampler that must equal it. ``scale``: how the scheduler writes x (exploding, preserving, flow)."""

    sampler: str
    scheduler: str
    scale: str
    steps: int = 9
    ours: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    step: dict[str, Any] = field(default_factory=dict)
    requests: int | None = None
    """Compare only so many requests and not the end (which in diffusers is not at 0, or not of lower order); None: everything."""

    def __str__(self) -> str:
        return f"{self.sampler}-{self.scheduler}-{'-'.join(f'{k}={v}' for k, v in (self.ours | self.step).items())}"


SINES = [math.sin(math.atan(15.0 * 0.7**i)) for i in range(12)]
"""sigma / sqrt(1 + sigma^2) of twelve levels, which is what diffusers' ipndm calls beta."""
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
MULTISTEP = "DPMSolverMultistepScheduler"
CASES = [
    Case("euler", "EulerDiscreteScheduler", "exploding"),
    Case("euler_ancestral", "EulerAncestralDiscreteScheduler", "exploding"),
    Case("heun", "HeunDiscreteScheduler", "exploding"),
    Case("lms", "LMSDiscreteScheduler", "exploding"),
    Case("ipndm_v", "LMSDiscreteScheduler", "exploding"),
    Case("dpm_2", "KDPM2DiscreteScheduler", "exploding"),
    Case("dpm_2_ancestral", "KDPM2AncestralDiscreteScheduler", "exploding"),
    Case("dpmpp_2m", MULTISTEP, "preserving", config={"final_sigmas_type": "zero"}),
    Case("dpmpp_2m_sde", MULTISTEP, "preserving", config={"final_sigmas_type": "zero", "algorithm_type": "sde-dpmsolver++"}),
    Case(
        "dpmpp_2m_sde_heun", MULTISTEP, "preserving",
        config={"final_sigmas_type": "zero", "algorithm_type": "sde-dpmsolver++", "solver_type": "heun"},
    ),
    # Its SDE form of order 3 has the sign of one constant wrong (its ODE form and k-diffusion agree), so only eta 0 is compared.
    Case(
        "dpmpp_3m_sde", MULTISTEP, "preserving", steps=20, ours={"eta": 0.0},
        config={"final_sigmas_type": "zero", "solver_order": 3, "solver_type": "heun"},
    ),
    Case("res_multistep", MULTISTEP, "preserving", config={"final_sigmas_type": "zero", "solver_type": "heun"}),
    Case("ddim", "DDIMScheduler", "preserving"),
    Case("ddim", "DDIMScheduler", "preserving", ours={"eta": 0.7}, step={"eta": 0.7}),
    Case("ddpm", "DDPMScheduler", "preserving"),
    Case("euler_ancestral", "DDPMScheduler", "preserving"),
    Case("lcm", "LCMScheduler", "preserving", steps=4, config={"original_inference_steps": 50}),
    Case("tcd", "TCDScheduler", "preserving", steps=4, ours={"gamma": 0.3}, step={"eta": 0.3}, requests=4),
    Case("tcd", "TCDScheduler", "preserving", steps=4, ours={"gamma": 0.0}, step={"eta": 0.0}, requests=4),
    Case("plms", "PNDMScheduler", "preserving", config={"skip_prk_steps": True}, requests=10),
    Case("ipndm", "IPNDMScheduler", "preserving", config={"num_train_timesteps": 12, "trained_betas": [*SINES, 0.0]}, steps=12),
    Case("deis", "DEISMultistepScheduler", "preserving", ours={"order": 2}, config={"solver_order": 2}, requests=9),
    Case("deis", "DEISMultistepScheduler", "preserving", steps=20, config={"solver_order": 3}, requests=19),
    Case("uni_pc", "UniPCMultistepScheduler", "preserving", config={"solver_type": "bh1", "solver_order": 3}, requests=9),
    Case("uni_pc_bh2", "UniPCMultistepScheduler", "preserving", config={"solver_type": "bh2", "solver_order": 3}),
    Case("uni_pc_bh2", "UniPCMultistepScheduler", "preserving", ours={"order": 2}, config={"solver_type": "bh2", "solver_order": 2}),
    Case(
        "sa_solver", "SASolverScheduler", "preserving", steps=16, ours={"simple": True}, requests=14,
        config={"predictor_order": 3, "corrector_order": 4},
    ),
    Case(
        "sa_solver", "SASolverScheduler", "preserving", steps=16, ours={"simple": True, "predictor": 2, "corrector": 2}, requests=15,
        config={"predictor_order": 2, "corrector_order": 2},
    ),
    Case("euler", "FlowMatchEulerDiscreteScheduler", "flow", config={"shift": 1.8}),
    Case("heun", "FlowMatchHeunDiscreteScheduler", "flow"),
    Case("lcm", "FlowMatchLCMScheduler", "flow", steps=4),
    Case("euler_ancestral", "LTXEulerAncestralRFScheduler", "flow"),
    Case("euler_ancestral", "LTXEulerAncestralRFScheduler", "flow", ours={"eta": 0.5}, config={"eta": 0.5}),
    Case("dpmpp_2m", MULTISTEP, "flow", config=FLOW | {"final_sigmas_type": "zero"}),
    Case("dpmpp_2m_sde", MULTISTEP, "flow", config=FLOW | {"final_sigmas_type": "zero", "algorithm_type": "sde-dpmsolver++"}),
    Case("deis", "DEISMultistepScheduler", "flow", ours={"order": 2}, config=FLOW | {"solver_order": 2}, requests=9),
    Case("uni_pc_bh2", "UniPCMultistepScheduler", "flow", config=FLOW | {"solver_type": "bh2", "solver_order": 3}),
]  # fmt: skip


def build(case: Case) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import diffusers

        kind = getattr(diffusers, case.scheduler, None)
        if kind is None:
            kind = getattr(importlib.import_module("diffusers.schedulers.scheduling_ltx_euler_ancestral_rf"), case.scheduler)
        allowed = set(kind.__init__.__wrapped__.__code__.co_varnames)
        config = {key: value for key, value in (TRAINING | {"clip_sample": False}).items() if key in allowed} | case.config
        scheduler = kind(**config)
        if case.scheduler == "LTXEulerAncestralRFScheduler":
            scheduler.set_timesteps(sigmas=[*np.linspace(1.0, 1 / case.steps, case.steps).tolist(), 0.0])
        elif case.scheduler == "TCDScheduler":
            scheduler.set_timesteps(timesteps=[999, 800, 500, 200])  # where 0.7 t is whole: diffusers rounds it down
        else:
            scheduler.set_timesteps(case.steps)
    return scheduler


def level(case: Case, scheduler: Any, i: int) -> float:
    """The sigma of request number i."""
    if case.scheduler in {"DDIMScheduler", "DDPMScheduler", "LCMScheduler", "TCDScheduler", "PNDMScheduler"}:
        kept = float(scheduler.alphas_cumprod.double()[scheduler.timesteps[i]])
        return math.sqrt((1 - kept) / kept)
    if case.sampler == "ipndm":
        return float(scheduler.betas[i] / scheduler.alphas[i])
    if hasattr(scheduler, "sigmas_interpol") and i % 2 == 1:
        return float(scheduler.sigmas_interpol[i - 1 if case.sampler == "dpm_2_ancestral" else i])
    return float(scheduler.sigmas[i])


def output(case: Case, scheduler: Any, x: Tensor, sigma: float, reply: Tensor) -> Tensor:
    """The model output for which the scheduler sees this prediction of x0."""
    if case.sampler == "ipndm":  # it takes v
        return (x / sigma - (1 / sigma + sigma) * reply) / math.sqrt(1 + sigma**2)
    noise = (x - (1 - sigma if case.scale == "flow" else 1) * reply) / sigma
    return noise - reply if case.scale == "flow" else noise


@contextlib.contextmanager
def same_noise(scheduler: Any, noise: Callable[..., Tensor]) -> Iterator[None]:
    module = importlib.import_module(type(scheduler).__module__)
    with contextlib.ExitStack() as stack:
        if hasattr(module, "randn_tensor"):
            stack.enter_context(mock.patch.object(module, "randn_tensor", noise))
        yield


def theirs(case: Case, model: Parametrisation) -> tuple[list[tuple[Tensor, float]], Tensor]:
    """Requests and result of the scheduler's loop."""
    scheduler = build(case)
    sigma = level(case, scheduler, 0)
    unit = initial_noise((1, 2, 4, 4), 1).double()
    x = unit * sigma
    requests = []
    with same_noise(scheduler, Sequential(unit, case)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, t in enumerate(scheduler.timesteps):
            sigma = level(case, scheduler, i)
            if sigma == 0:
                break
            factor = math.sqrt(1 + sigma**2) if case.scale == "preserving" else 1.0
            if i == 0:
                sample = x / factor
            x = sample * factor
            requests.append((x, sigma))
            answer = output(case, scheduler, x, sigma, Wavy(model)(x, sigma).denoised)
            if hasattr(scheduler, "scale_model_input"):
                scheduler.scale_model_input(sample, t)
            sample = scheduler.step(answer, t, sample, **case.step).prev_sample
    return requests, sample


def distinct(case: Case, requests: list[tuple[Tensor, float]]) -> list[float]:
    """The schedule behind the requests: methods of two stages ask about levels between, or twice about one."""
    levels = [sigma for _, sigma in requests]
    if case.sampler.startswith("dpm_2"):
        levels = levels[::2]
    return [*dict.fromkeys(levels), 0.0]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_diffusers(case: Case) -> None:
    model = flow_model() if case.scale == "flow" else epsilon_model()
    requests, result = theirs(case, model)
    sigmas = distinct(case, requests)
    x = requests[0][0]
    ours: Trajectory = trace(SPECS[case.sampler], Wavy(model), x, sigmas, noise=Sequential(x, case), model=model, **case.ours)
    count = case.requests or len(requests)
    if case.requests is None:
        assert len(ours.requests) == len(requests)
        torch.testing.assert_close(ours.x, result.to(x), rtol=1e-4, atol=1e-4)
    for (x, sigma), (x_2, sigma_2) in list(zip(ours.requests, requests, strict=False))[:count]:
        assert sigma == pytest.approx(sigma_2, rel=1e-4)
        torch.testing.assert_close(x, x_2.to(x), rtol=1e-4, atol=1e-4)
