"""The border: noise levels equal diffusers', timesteps are whole on trained levels, and x0 comes back exactly in every parametrisation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, EulerDiscreteScheduler

from gesso.model import Parametrisation
from gesso.model.border import Border, parametrisation_of

CONFIG = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


@pytest.mark.parametrize("shape", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_levels_equal_those_of_diffusers(shape: str) -> None:
    config = {**CONFIG, "beta_schedule": shape}
    abar = DDPMScheduler(**config).alphas_cumprod.double()
    assert torch.equal(torch.tensor(parametrisation_of(config).sigmas, dtype=torch.float64), ((1 - abar) / abar).sqrt())


def test_zero_terminal_snr_equals_diffusers() -> None:
    config: dict[str, Any] = {**CONFIG, "rescale_betas_zero_snr": True}
    abar = EulerDiscreteScheduler(**config).alphas_cumprod.double()
    found = torch.tensor(parametrisation_of(config).sigmas, dtype=torch.float64)
    assert torch.allclose(found, ((1 - abar) / abar).sqrt(), rtol=1e-4)
    assert found[-1] > 4000


def test_trained_betas_are_taken_as_they_are() -> None:
    found = parametrisation_of({"trained_betas": [0.1, 0.2]})
    assert found.sigmas == pytest.approx([(0.1 / 0.9) ** 0.5, (1 / 0.72 - 1) ** 0.5])


def test_timesteps_are_whole_on_trained_levels_and_monotone_between() -> None:
    parametrisation = parametrisation_of(CONFIG)
    border = Border(parametrisation)
    levels = torch.tensor(parametrisation.sigmas, dtype=torch.float32)
    assert torch.equal(border.at(levels).timestep, torch.arange(1000, dtype=torch.float32))
    between = border.at((levels[:-1] * levels[1:]).sqrt()).timestep
    assert torch.allclose(between, torch.arange(999) + 0.5, atol=1e-2)
    assert border.at(torch.tensor([1e-6, 1e6])).timestep.tolist() == [0.0, 999.0]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_perfect_network_gives_x0_back(prediction: str) -> None:
    border = Border(parametrisation_of({**CONFIG, "prediction_type": prediction}))
    x0, noise = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    sigma = torch.tensor([0.05, 1.0, 12.0])
    s = sigma.view(-1, 1, 1, 1)
    alpha = (1 + s**2).rsqrt()
    output = {"epsilon": noise, "v_prediction": alpha * noise - s * alpha * x0, "sample": x0}[prediction]
    assert torch.allclose(border.at(sigma).x0(x0 + s * noise, output), x0, atol=1e-4)


def test_the_network_sees_unit_variance() -> None:
    border = Border(parametrisation_of(CONFIG))
    x = torch.randn(1, 4, 64, 64) * (1 + 9.0**2) ** 0.5
    assert (x * border.at(torch.tensor([9.0])).scale).std() == pytest.approx(1.0, abs=0.02)


def test_a_level_multiplies_to_the_same_bits_as_the_number_itself() -> None:
    """A factor that is kept as a tensor is faster, and may be no other number."""
    border = Border(Parametrisation("epsilon", tuple(0.03 * 1.3**n for n in range(25))))
    chance = torch.Generator().manual_seed(1)
    for _ in range(200):
        level = float(torch.rand((), generator=chance, dtype=torch.float64) * 14 + 0.03)
        x, output = torch.randn(2, 2, 4, 3, 3, generator=chance)
        sigma = torch.full((2,), level)
        stands = sigma.tolist()[0]
        assert torch.equal(x * border.at(sigma).scale, x * (stands * stands + 1.0) ** -0.5)
        assert torch.equal(border.at(sigma).x0(x, output), x - stands * output)
        mixed = torch.tensor([level, level / 2])
        assert torch.equal(border.at(mixed).x0(x, output)[:1], x[:1] - mixed.tolist()[0] * output[:1])
        assert torch.equal(border.at(sigma).timestep, torch.cat([border.at(sigma[:1]).timestep] * 2))
