"""Deterministic methods show their published order on problems with known solutions, in both spaces."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from gesso.engine import Denoised
from gesso.math import Space
from gesso.model import Parametrisation
from gesso.testing import Mixture, epsilon_model, flow_model, run, trace
from gesso_plugins.samplers.plugin import SAMPLERS

SPECS = {spec.name: spec for spec in SAMPLERS}
START, END = 60.0, 0.4
"""Levels sigma / alpha. At first the mixture's denoiser is almost constant, so the first-order start of multistep methods costs little."""


def mixture(model: Parametrisation) -> Mixture:
    return Mixture(model, [0.5, 0.3, 0.2], [-1.0, 0.8, 0.1], [0.5, 0.6, 0.8])


def start(model: Parametrisation) -> Tensor:
    space = Space.of(model)
    sigma = space.from_ratio(START)
    unit = torch.linspace(-2.2, 2.2, 12, dtype=torch.float64).view(1, 1, 3, 4)
    return space.mix(0 * unit, unit, sigma)


def exact(model: Parametrisation, steps: int = 200) -> Tensor:
    """Classic Runge-Kutta on dy/dlambda = -(y - D), y = x / alpha."""
    space, denoiser = Space.of(model), mixture(model)
    y = start(model) / space.alpha(space.from_ratio(START))
    lam, h = -math.log(START), math.log(START / END) / steps

    def slope(lam: float, y: Tensor) -> Tensor:
        sigma = space.sigma(lam)
        return denoiser(space.alpha(sigma) * y, sigma).denoised - y

    for _ in range(steps):
        k_1 = slope(lam, y)
        k_2 = slope(lam + h / 2, y + h / 2 * k_1)
        k_3 = slope(lam + h / 2, y + h / 2 * k_2)
        k_4 = slope(lam + h, y + h * k_3)
        y = y + h / 6 * (k_1 + 2 * k_2 + 2 * k_3 + k_4)
        lam += h
    return space.alpha(space.from_ratio(END)) * y


@pytest.fixture(scope="module")
def solutions() -> dict[bool, Tensor]:
    return {model.is_flow: exact(model) for model in (epsilon_model(), flow_model())}


def levels(model: Parametrisation, steps: int) -> list[float]:
    """Even in lambda; no step to 0, where all methods are of first order."""
    space = Space.of(model)
    return [space.from_ratio(START * (END / START) ** (i / steps)) for i in range(steps + 1)]


TAIL = 4
"""Levels after END for the methods that lower their order towards the end of the schedule, whatever comes after."""


def error(name: str, model: Parametrisation, options: dict[str, Any], solution: Tensor, steps: int) -> float:
    """The largest error at END after ``steps`` steps."""
    space, sigmas = Space.of(model), levels(model, steps)
    if not name.startswith("uni_pc"):
        return (run(SPECS[name], mixture(model), start(model), sigmas, model=model, **options) - solution).abs().max().item()
    more = [space.from_ratio(END * (END / START) ** (i / steps)) for i in range(1, TAIL)]
    done = trace(SPECS[name], mixture(model), start(model), [*sigmas, *more], model=model, **options)
    return (done.requests[steps][0] - solution).abs().max().item()


ORDERS: list[tuple[str, dict[str, Any], int]] = [
    ("euler", {}, 1), ("euler_cfg_pp", {}, 1), ("heun", {}, 2), ("heunpp2", {}, 1), ("dpm_2", {}, 2), ("ddim", {}, 1),
    ("dpm_fast", {}, 3), ("dpmpp_2m", {}, 2), ("dpmpp_2m_cfg_pp", {}, 2), ("deis", {}, 3), ("deis", {"order": 2}, 2),
    ("uni_pc", {"order": 2}, 2), ("uni_pc", {}, 3), ("uni_pc_bh2", {}, 3), ("res_multistep", {}, 2), ("res_multistep_cfg_pp", {}, 2),
    ("gradient_estimation", {}, 1), ("gradient_estimation_cfg_pp", {}, 1), ("euler_ancestral", {"eta": 0.0}, 1),
    ("euler_ancestral_cfg_pp", {"eta": 0.0}, 1), ("dpm_2_ancestral", {"eta": 0.0}, 2), ("dpmpp_2s_ancestral", {"eta": 0.0}, 2),
    ("dpmpp_2s_ancestral_cfg_pp", {"eta": 0.0}, 2), ("dpmpp_sde", {"eta": 0.0}, 2), ("dpmpp_2m_sde", {"eta": 0.0}, 2),
    ("dpmpp_2m_sde_heun", {"eta": 0.0}, 2), ("dpmpp_3m_sde", {"eta": 0.0}, 2), ("res_multistep_ancestral", {"eta": 0.0}, 2),
    ("res_multistep_ancestral_cfg_pp", {"eta": 0.0}, 2), ("seeds_2", {"eta": 0.0}, 2), ("seeds_3", {"eta": 0.0}, 3),
    ("sa_solver", {"eta": 0.0, "corrector": 0}, 3), ("sa_solver", {"eta": 0.0, "predictor": 1, "corrector": 2}, 2),
    ("sa_solver", {"eta": 0.0, "predictor": 2, "corrector": 2, "simple": True}, 2), ("sa_solver", {"eta": 0.0}, 3),
    ("sa_solver_pece", {"eta": 0.0}, 3), ("restart", {"times": 0}, 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "order"), ORDERS, ids=str)
@pytest.mark.parametrize("model", [epsilon_model(), flow_model()], ids=["epsilon", "flow"])
def test_order(name: str, options: dict[str, Any], order: int, model: Parametrisation, solutions: dict[bool, Tensor]) -> None:
    steps = (32, 65)  # 3 n + 2, where dpm_fast ends with a step of order 2
    if order == 1:
        steps = (120, 240) if name == "heunpp2" else (60, 120)
    errors = [error(name, model, options, solutions[model.is_flow], n) for n in steps]
    slope = math.log(errors[0] / errors[1]) / math.log(steps[1] / steps[0])
    assert slope > order - 0.3
    assert slope < order + 1.3


def test_every_deterministic_order_is_tested() -> None:
    tested = {name: order for name, options, order in ORDERS if not options} | dict.fromkeys(SUMS, 4)
    for spec in SAMPLERS:
        if not spec.stochastic and spec.name != "dpm_adaptive":
            assert tested[spec.name] == spec.order, spec.name


def chosen_noise_scale(tau: float) -> float:
    """The paper's phi for few steps (Cui et al. 2023, appendix A.8)."""
    return tau * (math.exp(tau**0.3) + 10)


def without_noise(model: Parametrisation, steps: int = 400) -> Tensor:
    """Classic Runge-Kutta on dy / d log phi = y - D: what ER-SDE solves where its noise is left out."""
    space, denoiser = Space.of(model), mixture(model)
    y = start(model) / space.alpha(space.from_ratio(START))
    lam, h = math.log(START), math.log(END / START) / steps

    def slope(log_tau: float, y: Tensor) -> Tensor:
        tau = math.exp(log_tau)
        growth = 1 + 0.3 * tau**0.3 * math.exp(tau**0.3) / (math.exp(tau**0.3) + 10)  # d log phi / d log tau
        sigma = space.from_ratio(tau)
        return growth * (y - denoiser(space.alpha(sigma) * y, sigma).denoised)

    for _ in range(steps):
        k_1 = slope(lam, y)
        k_2 = slope(lam + h / 2, y + h / 2 * k_1)
        k_3 = slope(lam + h / 2, y + h / 2 * k_2)
        k_4 = slope(lam + h, y + h * k_3)
        y = y + h / 6 * (k_1 + 2 * k_2 + 2 * k_3 + k_4)
        lam += h
    return space.alpha(space.from_ratio(END)) * y


@pytest.mark.parametrize("model", [epsilon_model(), flow_model()], ids=["epsilon", "flow"])
def test_order_of_er_sde_without_its_noise(model: Parametrisation) -> None:
    """No setting of it is the probability-flow ODE: its own drift decides. The third term lowers the error, not its order, because the
    first derivative stays a plain backward difference, as the authors have it.
    """
    solution, last = without_noise(model), math.inf
    for terms, order in ((1, 1), (2, 2), (3, SPECS["er_sde"].order)):
        errors = []
        for n in (48, 96):
            x = run(SPECS["er_sde"], mixture(model), start(model), levels(model, n), model=model, order=terms, s_noise=0.0)
            errors.append((x - solution).abs().max().item())
        assert abs(math.log2(errors[0] / errors[1]) - order) < 0.2
        assert errors[1] < 0.8 * last
        last = errors[1]


SUMS = ["lms", "ipndm_v", "ipndm", "plms"]


class Slope:
    """A denoiser whose slope (x - D) / sigma is a function of sigma alone, flat at the start: the methods are quadratures of it."""

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, x: Tensor, sigma: float) -> Denoised:
        s = self.start - sigma
        d = x - sigma * (math.cos(3 * s) - 1 + 4.5 * s**2 - 3.375 * s**4 + s**6)
        return Denoised(d, d)

    def integral(self, end: float) -> float:
        s = self.start - end
        return -(math.sin(3 * s) / 3 - s + 1.5 * s**3 - 0.675 * s**5 + s**7 / 7)


@pytest.mark.parametrize("name", SUMS)
def test_order_of_quadratures(name: str) -> None:
    """Equal steps in sigma, for which ipndm and plms are made; the flat start hides the low-order start."""
    problem, errors = Slope(3.0), []
    for steps in (40, 80):
        sigmas = [3.0 - 1.5 * i / steps for i in range(steps + 1)]
        x = run(SPECS[name], problem, torch.zeros(1, 1, 1, 1, dtype=torch.float64), sigmas)
        errors.append(abs(x.item() - problem.integral(1.5)))
    assert 3.7 < math.log2(errors[0] / errors[1]) < 5.3


def test_lms_keeps_its_order_on_uneven_levels_where_ipndm_does_not() -> None:
    problem, found = Slope(3.0), {}
    for name in ("lms", "ipndm"):
        errors = []
        for steps in (40, 80):
            sigmas = [3.0 * 0.5 ** (i / steps) for i in range(steps + 1)]
            x = run(SPECS[name], problem, torch.zeros(1, 1, 1, 1, dtype=torch.float64), sigmas)
            errors.append(abs(x.item() - problem.integral(1.5)))
        found[name] = math.log2(errors[0] / errors[1])
    assert found["lms"] > 3.7
    assert found["ipndm"] < 2.3


@pytest.mark.parametrize("model", [epsilon_model(), flow_model()], ids=["epsilon", "flow"])
def test_dpm_adaptive_obeys_its_tolerance(model: Parametrisation, solutions: dict[bool, Tensor]) -> None:
    errors = []
    for rtol in (0.05, 0.005, 0.0005):
        x = run(SPECS["dpm_adaptive"], mixture(model), start(model), levels(model, 2), model=model, rtol=rtol, atol=rtol / 6)
        errors.append((x - solutions[model.is_flow]).abs().max().item())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 2e-3
