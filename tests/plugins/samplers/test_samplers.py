"""What holds of all registered samplers: conformance, exactness, difference from one another, names."""

from __future__ import annotations

import ast
import inspect
import math
from itertools import combinations, pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from gesso.engine import Denoised
from gesso.errors import InvalidRequest
from gesso.manifest import first_party
from gesso.math import Noise, Space, initial_noise
from gesso.model import Parametrisation
from gesso.plugin import SamplerSpec, build_plugins
from gesso.testing import Mixture, Wavy, check_sampler, epsilon_model, flow_model, run, trace
from gesso_plugins.samplers.plugin import SAMPLERS, SCHEDULES
from gesso_plugins.samplers.schedules.by_sigma import karras
from gesso_plugins.samplers.schedules.by_time import simple

SPECS = {spec.name: spec for spec in SAMPLERS}
MODELS = [epsilon_model(), flow_model()]

EQUAL = {("ddim", "euler"), ("ddpm", "euler_ancestral"), ("ipndm_v", "lms")}
"""Names of one trajectory (ddpm and euler_ancestral only for epsilon models), as their descriptions say."""


def schedule(model: Parametrisation, steps: int) -> list[float]:
    return simple(model, steps) if model.is_flow else karras(model, steps)


@pytest.mark.parametrize("spec", SAMPLERS, ids=lambda spec: spec.name)
def test_conforms(spec: SamplerSpec) -> None:
    kinds: dict[str, Any] = {"lcm": "consistency", "tcd": "point"}
    options = {"rtol": 0.01} if spec.name == "dpm_adaptive" else {}
    check_sampler(spec, model=kinds.get(spec.name, "denoiser"), **options)


@pytest.mark.parametrize("model", MODELS, ids=["epsilon", "flow"])
@pytest.mark.parametrize("spec", [spec for spec in SAMPLERS if spec.name not in {"lcm", "tcd"}], ids=lambda spec: spec.name)
def test_draws_a_mixture(spec: SamplerSpec, model: Parametrisation) -> None:
    """Not only Gaussians: the mean and variance of three peaks, after 70 steps."""
    peaks = Mixture(model, [0.4, 0.35, 0.25], [-2.0, 0.5, 1.5], [0.3, 0.2, 0.4])
    sigmas = schedule(model, 70)
    unit = initial_noise((1, 1, 64, 64), 4).double()
    x = Space.of(model).mix(peaks.mean + 0 * unit, unit, sigmas[0])
    options = {"rtol": 0.005} if spec.name == "dpm_adaptive" else {}
    drawn = run(spec, peaks, x, sigmas, noise=Noise.like(x, 2), model=model, **options)
    assert drawn.mean().item() == pytest.approx(peaks.mean, abs=0.09)
    assert drawn.var().item() == pytest.approx(peaks.variance, rel=0.08)


class Consistent:
    """The exact consistency function of three peaks: along the probability-flow ODE of one dimension every x keeps its quantile."""

    def __init__(self, model: Parametrisation, peaks: Mixture) -> None:
        self.space, self.peaks = Space.of(model), peaks
        self.grid = torch.linspace(-5.0, 5.0, 20001, dtype=torch.float64)

    def below(self, x: Tensor, alpha: float, sigma: float) -> Tensor:
        """The distribution function at x of alpha x0 + sigma z."""
        terms = [w * torch.special.ndtr((x - alpha * m) / math.hypot(alpha * s, sigma)) for w, m, s in self.peaks.parts]
        return torch.stack(terms).sum(0)

    def __call__(self, x: Tensor, sigma: float) -> Denoised:
        place = torch.searchsorted(self.below(self.grid, 1.0, 0.0), self.below(x, self.space.alpha(sigma), sigma).flatten())
        d = self.grid[place.clamp(max=len(self.grid) - 1)].view_as(x)
        return Denoised(d, d)


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
@pytest.mark.parametrize("model", MODELS, ids=["epsilon", "flow"])
def test_lcm_draws_a_mixture_from_its_consistency_function(model: Parametrisation, steps: int) -> None:
    """However few the steps: that is what a consistency model promises."""
    peaks = Mixture(model, [0.4, 0.35, 0.25], [-2.0, 0.5, 1.5], [0.3, 0.2, 0.4])
    sigmas = schedule(model, steps)
    unit = initial_noise((1, 1, 64, 64), 4).double()
    x = Space.of(model).mix(peaks.mean + 0 * unit, unit, sigmas[0])
    drawn = run(SPECS["lcm"], Consistent(model, peaks), x, sigmas, noise=Noise.like(x, 2), model=model)
    assert drawn.mean().item() == pytest.approx(peaks.mean, abs=0.09)
    assert drawn.var().item() == pytest.approx(peaks.variance, rel=0.08)
    left = (drawn < -0.75).double().mean().item()
    assert left == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("model", MODELS, ids=["epsilon", "flow"])
def test_tcd_without_noise_is_ddim(model: Parametrisation) -> None:
    """gamma 0 (Zheng et al. 2024, section 4.3): so it has the order of DDIM, which is tested."""
    sigmas = schedule(model, 15)
    x = initial_noise((1, 2, 4, 4), 1).double() * sigmas[0]
    found = run(SPECS["tcd"], Wavy(model), x, sigmas, noise=Noise.like(x, 2), model=model, gamma=0.0)
    expected = run(SPECS["ddim"], Wavy(model), x, sigmas, noise=Noise.like(x, 2), model=model)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=["epsilon", "flow"])
def test_tcd_comes_back_up_to_the_noise_of_its_level(model: Parametrisation) -> None:
    """Where x0 is known, each level is reached with as much noise as it names, whatever gamma is: what is past is added afresh."""
    picture = torch.full((1, 1, 96, 96), 0.4, dtype=torch.float64)
    unit = initial_noise((1, 1, 96, 96), 4).double()
    space, sigmas = Space.of(model), schedule(model, 6)
    for gamma in (0.0, 0.3, 0.9):
        x = space.mix(picture, unit, sigmas[0])
        done = trace(SPECS["tcd"], lambda x, sigma: Denoised(picture, picture), x, sigmas, noise=Noise.like(x, 2), model=model, gamma=gamma)
        for x, sigma in done.requests:
            noise = (x - space.alpha(sigma) * picture) / sigma
            assert noise.std().item() == pytest.approx(1.0, abs=0.03)


DETERMINISTIC: list[tuple[str, dict[str, Any]]] = [
    (spec.name, {}) for spec in SAMPLERS if not spec.stochastic and spec.name != "dpm_adaptive"
]
DETERMINISTIC += [(spec.name, {"eta": 0.0}) for spec in SAMPLERS if spec.stochastic and "eta" in spec.takes]


@pytest.mark.parametrize(("name", "options"), DETERMINISTIC, ids=str)
@pytest.mark.parametrize("model", MODELS, ids=["epsilon", "flow"])
def test_a_constant_picture_is_reached_exactly(name: str, options: dict[str, Any], model: Parametrisation) -> None:
    """With a constant x0 the probability-flow ODE is linear, and every method must follow it exactly, however few the steps."""
    space = Space.of(model)
    ratios = [30.0, 7.0, 2.0, 0.9, 0.3, 0.11]
    sigmas = [space.from_ratio(ratio) for ratio in ratios]
    unit = initial_noise((1, 2, 3, 3), 1).double()
    picture = torch.full_like(unit, 0.37)
    x = run(SPECS[name], lambda x, sigma: Denoised(picture, picture), space.mix(picture, unit, sigmas[0]), sigmas, model=model, **options)
    torch.testing.assert_close(x, space.mix(picture, unit, sigmas[-1]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spec", SAMPLERS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("model", MODELS, ids=["epsilon", "flow"])
def test_a_known_picture_is_reached_by_all(spec: SamplerSpec, model: Parametrisation) -> None:
    picture = initial_noise((1, 2, 3, 3), 9).double()
    sigmas = schedule(model, 5)
    x = run(spec, lambda x, sigma: Denoised(picture, picture), initial_noise((1, 2, 3, 3), 1).double() * sigmas[0], sigmas, model=model)
    torch.testing.assert_close(x, picture, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=["epsilon", "flow"])
def test_no_two_are_the_same_unless_they_say_so(model: Parametrisation) -> None:
    sigmas = schedule(model, 12)
    x = initial_noise((1, 2, 4, 4), 1).double() * sigmas[0]
    ends: dict[str, Tensor] = {}
    for spec in SAMPLERS:
        ends[spec.name] = run(spec, Wavy(model), x, sigmas, noise=Noise.like(x, 2), model=model)
    equal = EQUAL - {("ddpm", "euler_ancestral")} if model.is_flow else EQUAL
    for one, other in combinations(sorted(ends), 2):
        distance = (ends[one] - ends[other]).abs().max().item()
        assert (distance < 1e-6) == ((one, other) in equal), f"{one} and {other} end {distance} apart"
    for one, other in EQUAL:
        assert other in SPECS[one].paper, f"{one} does not say that it equals {other}"


@pytest.mark.parametrize("name", [name for name in SPECS if name.endswith("_cfg_pp")])
@pytest.mark.parametrize("model", MODELS, ids=["epsilon", "flow"])
def test_cfg_pp_without_guidance_is_the_plain_method(name: str, model: Parametrisation) -> None:
    sigmas = schedule(model, 9)
    x = initial_noise((1, 2, 4, 4), 1).double() * sigmas[0]

    def unguided(x: Tensor, sigma: float) -> Denoised:
        d = Wavy(model)(x, sigma).denoised
        return Denoised(d, d)

    plain = run(SPECS[name.removesuffix("_cfg_pp")], unguided, x, sigmas, noise=Noise.like(x, 2), model=model)
    torch.testing.assert_close(run(SPECS[name], unguided, x, sigmas, noise=Noise.like(x, 2), model=model), plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("model", MODELS, ids=["epsilon", "flow"])
def test_cfg_pp_of_one_step_is_the_formula_of_the_paper(model: Parametrisation) -> None:
    """x' = alpha' D + sigma' (x - alpha U) / sigma, for all whose first step is of first order."""
    space = Space.of(model)
    sigma, target = space.from_ratio(9.0), space.from_ratio(2.0)
    x = initial_noise((1, 2, 4, 4), 1).double() * sigma
    reply = Wavy(model)(x, sigma)
    expected = space.alpha(target) * reply.denoised + target * (x - space.alpha(sigma) * reply.uncond) / sigma
    names = [name for name in SPECS if name.endswith("_cfg_pp") and "2s" not in name]
    assert len(names) == 6
    for name in names:
        options = {"eta": 0.0} if SPECS[name].stochastic else {}
        found = run(SPECS[name], Wavy(model), x, [sigma, target], model=model, **options)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_restart_goes_up_and_down_again() -> None:
    model = epsilon_model()
    sigmas = karras(model, 14)
    x = initial_noise((1, 2, 4, 4), 1) * sigmas[0]
    levels = trace(SPECS["restart"], Wavy(model), x, sigmas, model=model, times=2).levels
    rises = [(a, b) for a, b in pairwise(levels) if b > a]
    low = next(sigma for sigma in sigmas if sigma <= 0.1)
    high = min(sigma for sigma in sigmas if sigma >= 2.0)
    assert rises == [(low, high)] * 2


def test_the_brownian_samplers_refine_one_picture() -> None:
    """Twice the steps end nearer to each other than another seed does, because the path is the same."""
    model = epsilon_model()
    unit = initial_noise((1, 2, 8, 8), 1).double()
    for name in ("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"):
        ends = []
        for steps, seed in ((60, 2), (120, 2), (120, 3)):
            sigmas = karras(model, steps)
            x = unit * sigmas[0]
            peaks = Mixture(model, [1.0], [0.0], [1.0])
            ends.append(run(SPECS[name], peaks, x, sigmas, noise=Noise.like(x, seed), model=model))
        assert (ends[0] - ends[1]).std() < 0.35 * (ends[0] - ends[2]).std()


def names(spec: Any) -> set[str]:
    return {" ".join(name.casefold().split()) for name in (spec.name, spec.title, *spec.aliases)}


@pytest.mark.parametrize("specs", [SAMPLERS, SCHEDULES], ids=["samplers", "schedules"])
def test_names_titles_and_aliases_are_unique(specs: tuple[Any, ...]) -> None:
    for one, other in combinations(specs, 2):
        assert not names(one) & names(other)


COMFYUI = [
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2", "dpm_2_ancestral", "lms",
    "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m",
    "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu", "ddpm", "lcm", "ipndm", "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp",
    "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde",
    "seeds_2", "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc", "uni_pc_bh2",
]  # fmt: skip
A1111 = [
    "DPM++ 2M", "k_dpmpp_2m", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "k_dpmpp_2s_a", "DPM++ 3M SDE", "Euler a",
    "k_euler_a", "Euler", "LMS", "Heun", "DPM2", "k_dpm_2", "DPM2 a", "DPM fast", "DPM adaptive", "k_dpm_ad", "Restart", "HeunPP2", "IPNDM",
    "IPNDM_V", "DEIS", "DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM", "DDPM",
]  # fmt: skip
INVOKEAI = {
    "ddim": "ddim", "ddpm": "ddpm", "deis": "deis", "lms": "lms", "pndm": "plms", "heun": "heun", "euler": "euler",
    "euler_a": "euler_ancestral", "kdpm_2": "dpm_2", "kdpm_2_a": "dpm_2_ancestral", "dpmpp_2m": "dpmpp_2m", "dpmpp_2m_sde": "dpmpp_2m_sde",
    "dpmpp_sde": "dpmpp_sde", "er_sde": "er_sde", "unipc": "uni_pc", "lcm": "lcm", "tcd": "tcd",
}  # fmt: skip
INVOKEAI_KARRAS = ["deis", "lms", "heun", "euler", "kdpm_2", "kdpm_2_a", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_sde", "unipc"]
FOREIGN_CLASSES = {
    "no sampler of this kind": [
        "AmusedScheduler", "BlockRefinementScheduler", "CMStochasticIterativeScheduler", "ConsistencyDecoderScheduler",
        "DDPMWuerstchenScheduler", "DDIMInverseScheduler",
        "DPMSolverMultistepInverseScheduler", "DiscreteDDIMScheduler", "EntropyBoundScheduler", "FlowMapEulerDiscreteScheduler",
        "HeliosDMDScheduler", "HeliosScheduler", "KarrasVeScheduler", "MiniMaxH3Scheduler", "PiflowScheduler", "RFD4ProteinaScheduler",
        "RePaintScheduler", "SCMScheduler", "ScoreSdeVeScheduler", "ScoreSdeVpScheduler", "VQDiffusionScheduler",
    ],
    "video models only": ["CogVideoXDDIMScheduler", "CogVideoXDPMScheduler"],
    "other pictures than dpmpp_2s_ancestral": ["DPMSolverSinglestepScheduler"],
}  # fmt: skip
SCHEDULE_NAMES = [
    "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic", "kl_optimal", "polyexponential",
    "laplace", "vp", "align_your_steps", "turbo", "sd_turbo", "Uniform", "SGM Uniform", "KL Optimal", "Align Your Steps", "DDIM", "AYS",
    "linspace",
]  # fmt: skip


@pytest.mark.parametrize("wanted", [*COMFYUI, *A1111])
def test_users_find_their_sampler(wanted: str) -> None:
    assert sum(wanted.casefold() in names(spec) for spec in SAMPLERS) == 1


@pytest.mark.parametrize("wanted", SCHEDULE_NAMES)
def test_users_find_their_schedule(wanted: str) -> None:
    assert sum(wanted.casefold() in names(spec) for spec in SCHEDULES) == 1


def test_users_of_invokeai_find_their_sampler_and_schedule() -> None:
    registry = build_plugins(first_party())
    for name, wanted in INVOKEAI.items():
        assert registry.sampling(name) == (wanted, None), name
    for name in INVOKEAI_KARRAS:
        assert registry.sampling(f"{name}_k") == (INVOKEAI[name], "karras")
        assert registry.sampling(f"{name}_k", "simple") == (INVOKEAI[name], "simple")
    for name in ("dpmpp_2s", "dpmpp_2s_k", "dpmpp_3m", "dpmpp_3m_k", "nothing_k", "_k"):
        with pytest.raises(InvalidRequest, match="There is no sampler"):
            registry.sampling(name)


def test_every_scheduler_class_of_diffusers_is_a_name_or_has_no_counterpart() -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import diffusers
        from diffusers.schedulers import _import_structure
    classes = {name for names in _import_structure.values() for name in names if name.endswith("Scheduler")}
    aliases = {alias for spec in SAMPLERS for alias in spec.aliases if alias.endswith("Scheduler")}
    foreign = {name for names in FOREIGN_CLASSES.values() for name in names}
    assert all(hasattr(diffusers, alias) for alias in aliases)
    assert not aliases & foreign
    assert not classes - aliases - foreign


def test_a_sampler_is_at_most_fifty_lines() -> None:
    for spec in SAMPLERS:
        tree = ast.parse(inspect.getsource(inspect.getmodule(spec.function)))  # type: ignore[arg-type]
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < 50, node.name
