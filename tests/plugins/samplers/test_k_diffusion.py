"""Every sampler of k-diffusion equals k-diffusion's: same requests, same result, with the same noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from gesso.engine import Denoised
from gesso.math import Noise, initial_noise, time_of
from gesso.testing import Wavy, epsilon_model, run, trace
from gesso_plugins.samplers.plugin import SAMPLERS
from gesso_plugins.samplers.schedules.by_sigma import karras

SPECS = {spec.name: spec for spec in SAMPLERS}
MODEL = epsilon_model()
LEVELS = karras(MODEL, 9)


class Sequential:
    """Noise that is the same for the n-th draw whatever interval it is asked for."""

    seed = 0

    def __init__(self, x: Tensor) -> None:
        self._noise = Noise.like(x, 5)

    def __call__(self, sigma: object, sigma_next: object) -> Tensor:
        return self._noise(0.0, 0.0)

    brownian = __call__


def asked(run: Callable[[Callable[..., Tensor]], Any]) -> tuple[list[tuple[Tensor, float]], Tensor]:
    """What a k-diffusion function asks of the toy denoiser, and its result."""
    requests: list[tuple[Tensor, float]] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        requests.append((x, float(sigma[0])))
        return Wavy(MODEL)(x, float(sigma[0])).denoised

    return requests, run(model)


def start(levels: list[float] = LEVELS, dtype: torch.dtype = torch.float64) -> Tensor:
    return (initial_noise((1, 2, 4, 4), 1) * levels[0]).to(dtype)


def compare(ours: Any, theirs: tuple[list[tuple[Tensor, float]], Tensor], tolerance: float = 1e-6) -> None:
    requests, result = theirs
    assert len(ours.requests) == len(requests)
    for (x, sigma), (x_2, sigma_2) in zip(ours.requests, requests, strict=True):
        assert sigma == pytest.approx(sigma_2, rel=tolerance)
        torch.testing.assert_close(x, x_2.to(x), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(ours.x, result.to(ours.x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("euler", {}), ("heun", {}), ("dpm_2", {}), ("lms", {}), ("lms", {"order": 2}), ("dpmpp_2m", {}),
        ("euler_ancestral", {}), ("euler_ancestral", {"eta": 0.6, "s_noise": 1.1}), ("dpm_2_ancestral", {}),
        ("dpm_2_ancestral", {"eta": 0.5}), ("dpmpp_2s_ancestral", {}), ("dpmpp_2s_ancestral", {"eta": 0.0}), ("dpmpp_sde", {}),
        ("dpmpp_sde", {"eta": 0.4, "r": 0.3}), ("dpmpp_2m_sde", {}), ("dpmpp_2m_sde", {"eta": 0.3}), ("dpmpp_2m_sde_heun", {}),
        ("dpmpp_3m_sde", {}), ("dpmpp_3m_sde", {"eta": 0.0}),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_equals_k_diffusion(name: str, options: dict[str, Any], dtype: torch.dtype, tolerance: float, k_diffusion: Any) -> None:
    function = getattr(k_diffusion, "sample_" + name.removesuffix("_heun" if "sde" in name else ""))
    theirs_options = options | ({"solver_type": "heun"} if name == "dpmpp_2m_sde_heun" else {})
    if SPECS[name].stochastic:
        theirs_options |= {"noise_sampler": Sequential(start(dtype=dtype))}
    theirs = asked(lambda model: function(model, start(dtype=dtype), torch.tensor(LEVELS, dtype=dtype), disable=True, **theirs_options))
    noise = Sequential(start(dtype=dtype))
    compare(trace(SPECS[name], Wavy(MODEL), start(dtype=dtype), LEVELS, noise=noise, model=MODEL, **options), theirs, tolerance)


@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2"])
def test_churn_equals_k_diffusion(name: str, k_diffusion: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"s_churn": 4.0, "s_noise": 1.003}
    drawn = Sequential(start())
    monkeypatch.setattr(torch, "randn_like", lambda x: drawn(0, 0))
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    theirs = asked(lambda model: getattr(k_diffusion, f"sample_{name}")(model, start(), levels, disable=True, **options))
    compare(trace(SPECS[name], Wavy(MODEL), start(), LEVELS, noise=Sequential(start()), model=MODEL, **options), theirs)


def test_churn_only_within_its_range(k_diffusion: Any) -> None:
    done = trace(SPECS["euler"], Wavy(MODEL), start(), LEVELS, model=MODEL, s_churn=4.0, s_tmin=1.0, s_tmax=5.0)
    raised = [sigma != level for sigma, level in zip(done.levels, LEVELS, strict=False)]
    assert raised == [1.0 <= level <= 5.0 for level in LEVELS[:-1]]


@pytest.mark.parametrize("steps", range(2, 12))
def test_dpm_fast_equals_k_diffusion(steps: int, k_diffusion: Any) -> None:
    """Ours keeps one evaluation for the step to 0; before that it is theirs with one evaluation less."""
    levels = karras(MODEL, steps)
    n = steps - 1
    requests, x = asked(lambda model: k_diffusion.sample_dpm_fast(model, start(levels), levels[-2], levels[0], n, disable=True))
    last = Wavy(MODEL)(x, levels[-2]).denoised
    ours = trace(SPECS["dpm_fast"], Wavy(MODEL), start(levels), levels, model=MODEL)
    compare(ours, ([*requests, (x, levels[-2])], last), 1e-5)
    assert len(ours.requests) == steps


@pytest.mark.parametrize("options", [{}, {"order": 2}, {"rtol": 0.005, "atol": 0.001}])
def test_dpm_adaptive_equals_k_diffusion(options: dict[str, Any], k_diffusion: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "tensor", partial(torch.tensor, dtype=torch.float64))  # its step control needs more digits than float32
    requests, x = asked(lambda model: k_diffusion.sample_dpm_adaptive(model, start(), LEVELS[-2], LEVELS[0], disable=True, **options))
    last = Wavy(MODEL)(x, LEVELS[-2]).denoised
    ours = trace(SPECS["dpm_adaptive"], Wavy(MODEL), start(), LEVELS, model=MODEL, **options)
    compare(ours, ([*requests, (x, LEVELS[-2])], last))


@pytest.fixture(scope="module")
def unet() -> Any:
    """A small UNet of the real architecture with random weights, as an epsilon model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers import UNet2DModel

    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=8, in_channels=2, out_channels=2, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"), attention_head_dim=8,
    ).eval()  # fmt: skip


DEFAULTS = [
    "euler", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_sde",
    "dpmpp_3m_sde",
]  # fmt: skip


@pytest.mark.parametrize("name", DEFAULTS)
def test_equals_k_diffusion_on_a_small_unet(name: str, unet: Any, k_diffusion: Any) -> None:
    x = initial_noise((1, 2, 8, 8), 1) * LEVELS[0]

    def predict(x: Tensor, sigma: float) -> Tensor:
        with torch.no_grad():
            return x - sigma * unet(x / math.sqrt(1 + sigma**2), torch.tensor([time_of(MODEL, sigma)])).sample

    options = {"noise_sampler": Sequential(x)} if SPECS[name].stochastic else {}
    levels = torch.tensor(LEVELS)
    theirs = getattr(k_diffusion, f"sample_{name}")(lambda x, sigma: predict(x, float(sigma[0])), x, levels, disable=True, **options)

    def answer(x: Tensor, sigma: float) -> Denoised:
        return Denoised(predict(x, sigma), predict(x, sigma))

    ours = run(SPECS[name], answer, x, LEVELS, noise=Sequential(x), model=MODEL)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
