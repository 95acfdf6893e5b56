"""Noise: one seed, one picture; the Brownian path is one path however it is asked."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from gesso.math import Noise, initial_noise

SHAPE = (1, 4, 24, 24)


def test_initial_noise_is_that_of_the_peers() -> None:
    expected = torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(7))
    assert torch.equal(initial_noise(SHAPE, 7), expected)


def test_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    noise = Noise(SHAPE, 3)
    noise(1.0, 0.5)
    noise.brownian(1.0, 0.5)
    initial_noise(SHAPE, 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_same_seed_gives_the_same_draws_in_the_same_order() -> None:
    one, other = Noise(SHAPE, 3), Noise(SHAPE, 3)
    first = [one(2.0, 1.0), one(1.0, 0.5)]
    second = [other(2.0, 1.0), other(1.0, 0.5)]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(Noise(SHAPE, 4)(2.0, 1.0), first[0])


def test_no_draw_repeats_the_initial_noise() -> None:
    start, noise = initial_noise(SHAPE, 3).flatten(), Noise(SHAPE, 3)
    for draw in (noise(2.0, 1.0), noise(1.0, 0.5), noise.brownian(2.0, 1.0), noise.brownian(14.0, 9.0)):
        assert abs(torch.corrcoef(torch.stack([start, draw.flatten()]))[0, 1]) < 0.1


@pytest.mark.parametrize(("sigma", "sigma_next"), [(14.6, 10.0), (10.0, 0.5), (0.5, 0.03), (0.03, 0.0), (1.0, 0.999), (700.0, 100.0)])
def test_increments_have_unit_variance(sigma: float, sigma_next: float) -> None:
    draw = Noise((1, 4, 64, 64), 3).brownian(sigma, sigma_next)
    assert draw.mean().abs() < 0.03
    assert draw.std().item() == pytest.approx(1.0, abs=0.03)


def test_the_path_does_not_depend_on_the_questions() -> None:
    fresh, asked = Noise(SHAPE, 3), Noise(SHAPE, 3)
    for sigma in (9.0, 0.2, 3.3, 5.0):
        asked.brownian(sigma, sigma / 2)
        asked(sigma, sigma / 2)
    assert torch.equal(fresh.brownian(2.0, 1.0), asked.brownian(2.0, 1.0))


def length(sigma: float, sigma_next: float) -> float:
    return abs(sigma / (1 + sigma) - sigma_next / (1 + sigma_next))


def test_parts_add_up_to_the_whole() -> None:
    noise = Noise(SHAPE, 3)
    levels = [5.0, 3.1, 2.0, 1.2, 1.0]
    whole = noise.brownian(5.0, 1.0) * length(5.0, 1.0) ** 0.5
    parts = sum(noise.brownian(a, b) * length(a, b) ** 0.5 for a, b in pairwise(levels))
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-3)
    assert torch.equal(noise.brownian(1.0, 5.0), -noise.brownian(5.0, 1.0))


def test_disjoint_increments_are_independent_and_nested_ones_are_not() -> None:
    noise = Noise((1, 4, 64, 64), 3)
    a, b, whole = (noise.brownian(*ends).flatten() for ends in ((5.0, 2.0), (2.0, 1.0), (5.0, 1.0)))
    correlations = torch.corrcoef(torch.stack([a, b, whole]))
    assert abs(correlations[0, 1]) < 0.03
    assert correlations[0, 2].item() == pytest.approx((length(5.0, 2.0) / length(5.0, 1.0)) ** 0.5, abs=0.03)


def test_it_has_the_law_of_torchsdes_tree() -> None:
    """Correlations over overlapping intervals are those of a Brownian path there and here."""
    torchsde = pytest.importorskip("torchsde")
    times = [(0.1, 0.5), (0.3, 0.9), (0.1, 0.9), (0.5, 0.55)]
    tree = torchsde.BrownianTree(0.0, torch.zeros(16384), 1.0, entropy=5)
    theirs = torch.stack([tree(a, b) / (b - a) ** 0.5 for a, b in times])
    noise = Noise((1, 4, 64, 64), 3)
    ours = torch.stack([noise.brownian(b / (1 - b), a / (1 - a)).flatten() for a, b in times])
    torch.testing.assert_close(torch.corrcoef(ours), torch.corrcoef(theirs), atol=0.04, rtol=0)


def test_levels_too_close_to_tell_apart_still_give_unit_noise() -> None:
    noise = Noise((1, 4, 64, 64), 3)
    for sigma in (1.0, 0.0, 1e9):
        draw = noise.brownian(sigma, sigma)
        assert draw.std().item() == pytest.approx(1.0, abs=0.03)


def test_like_follows_x() -> None:
    x = torch.zeros((1, 3, 5, 7), dtype=torch.float64)
    noise = Noise.like(x, 11)
    assert noise.seed == 11
    for draw in (noise(1.0, 0.5), noise.brownian(1.0, 0.5)):
        assert (draw.shape, draw.dtype, draw.device) == (x.shape, x.dtype, x.device)
