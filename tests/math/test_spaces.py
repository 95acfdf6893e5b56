"""The two spaces: inverse functions are inverse, noisy steps land where they should, nothing breaks at the ends."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gesso.math import Space, sigma_at, time_of
from gesso.model import Parametrisation
from gesso.testing import epsilon_model, flow_model

EXPLODING, FLOW = Space(is_flow=False), Space(is_flow=True)
SPACES = [EXPLODING, FLOW]
levels = st.floats(0.01, 0.97)
both = pytest.mark.parametrize("space", SPACES, ids=["exploding", "flow"])


@both
def test_of_a_model(space: Space) -> None:
    assert Space.of(flow_model() if space.is_flow else epsilon_model()) == space


@both
@given(sigma=levels)
def test_lambda_and_ratio_invert(space: Space, sigma: float) -> None:
    assert space.sigma(space.lam(sigma)) == pytest.approx(sigma)
    assert space.from_ratio(space.ratio(sigma)) == pytest.approx(sigma)
    assert space.lam(sigma) == pytest.approx(math.log(space.alpha(sigma) / sigma))


def test_the_ends() -> None:
    assert FLOW.lam(0.0) == EXPLODING.lam(0.0) == math.inf
    assert FLOW.lam(1.0) == -math.inf
    assert FLOW.ratio(1.0) == math.inf
    assert FLOW.from_ratio(math.inf) == 1.0
    assert FLOW.sigma(math.inf) == EXPLODING.sigma(math.inf) == 0.0


@both
@given(sigma=levels, part=st.floats(0.05, 0.95), eta=st.floats(0, 1))
def test_an_ancestral_step_lands_at_the_next_level(space: Space, sigma: float, part: float, eta: float) -> None:
    """Signal and noise variance after scaling and adding noise are those of sigma_next."""
    sigma_next = part * sigma
    down, scale, up = space.ancestral(sigma, sigma_next, eta)
    assert 0 <= down <= sigma_next
    assert scale * space.alpha(down) == pytest.approx(space.alpha(sigma_next))
    assert math.hypot(scale * down, up) == pytest.approx(sigma_next)
    assert space.ancestral(sigma, sigma_next, 0.0) == (sigma_next, 1.0, 0.0)
    assert space.ancestral(sigma, 0.0, eta) == (0.0, 1.0, 0.0)


def test_an_ancestral_step_from_pure_noise() -> None:
    down, scale, up = FLOW.ancestral(1.0, 0.9)
    assert down == pytest.approx(0.81)
    assert scale * (1 - down) == pytest.approx(0.1)
    assert math.hypot(scale * down, up) == pytest.approx(0.9)


@both
@given(low=levels, part=st.floats(0.05, 0.95))
def test_renoise_goes_up_along_the_forward_process(space: Space, low: float, part: float) -> None:
    high = low + part * (0.99 - low)
    scale, added = space.renoise(low, high)
    assert scale * space.alpha(low) == pytest.approx(space.alpha(high))
    assert math.hypot(scale * low, added) == pytest.approx(high)


@both
def test_mixing_and_finding_the_noise_again(space: Space) -> None:
    x0, noise = torch.randn(1, 2, 3, 3, dtype=torch.float64), torch.randn(1, 2, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(space.noise_in(space.mix(x0, noise, 0.6), x0, 0.6), noise)


def test_finite_moves_only_the_first_level_of_a_flow() -> None:
    assert FLOW.finite([1.0, 0.5, 0.0]) == [1 - 1e-4, 0.5, 0.0]
    assert FLOW.finite([1.0, 0.99999, 0.0])[0] == pytest.approx(0.999995)
    assert FLOW.finite([1.0]) == [1 - 1e-4]
    assert FLOW.finite([0.8, 0.5, 0.0]) == [0.8, 0.5, 0.0]
    assert EXPLODING.finite([14.6, 1.0, 0.0]) == [14.6, 1.0, 0.0]


MODELS = pytest.mark.parametrize("model", [epsilon_model(), flow_model()], ids=["epsilon", "flow"])


@MODELS
@given(t=st.floats(0, 999))
def test_time_and_sigma_invert(model: Parametrisation, t: float) -> None:
    assert time_of(model, sigma_at(model, t)) == pytest.approx(t, abs=1e-6)


@MODELS
def test_whole_times_are_trained_levels(model: Parametrisation) -> None:
    assert [sigma_at(model, t) for t in (0, 1, 500, 999)] == [model.sigmas[t] for t in (0, 1, 500, 999)]


@MODELS
def test_times_outside_are_clamped(model: Parametrisation) -> None:
    assert sigma_at(model, -3.0) == model.sigma_min
    assert sigma_at(model, 5000.0) == model.sigma_max
    assert time_of(model, 0.0) == 0
    assert time_of(model, 1e9) == 999


def test_a_model_with_one_level() -> None:
    single = Parametrisation("epsilon", (0.7,))
    assert sigma_at(single, 0.0) == sigma_at(single, 4.0) == 0.7
    assert time_of(single, 0.7) == 0
