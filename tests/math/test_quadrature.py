"""Integrals against their closed forms."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesso.math import exponential_weights, fixed_adams_bashforth, lagrange_weights, phi
from gesso.math.quadrature import integral


def test_integral() -> None:
    assert integral(math.sin, 0.0, math.pi) == pytest.approx(2.0)
    assert integral(lambda s: math.exp(-20 * s), 0.0, 1.0) == pytest.approx((1 - math.exp(-20)) / 20, rel=1e-10)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_equal_steps_give_the_classic_weights(order: int) -> None:
    weights = lagrange_weights([-float(i) for i in range(order)], 0.0, 1.0)
    assert weights == pytest.approx(fixed_adams_bashforth(order))
    assert sum(fixed_adams_bashforth(order)) == pytest.approx(1.0)


@given(nodes=st.lists(st.integers(-8, 0), min_size=1, max_size=4, unique=True), end=st.floats(0.1, 2.0))
def test_polynomials_through_the_nodes_are_integrated_exactly(nodes: list[int], end: float) -> None:
    places = [float(node) for node in nodes]
    for power in range(len(places)):
        found = sum(w * place**power for w, place in zip(lagrange_weights(places, 0.0, end), places, strict=True))
        assert found == pytest.approx(end ** (power + 1) / (power + 1), rel=1e-9, abs=1e-9)


@given(h=st.floats(0.01, 9.0), rate=st.floats(0.5, 2.0))
def test_exponential_weights_sum_to_the_decay(h: float, rate: float) -> None:
    assert sum(exponential_weights([0.0, -0.7, -1.1], 0.0, h, rate)) == pytest.approx(-math.expm1(-rate * h))


@given(h=st.floats(0.01, 9.0), last=st.floats(0.1, 2.0))
def test_two_nodes_give_phi_functions(h: float, last: float) -> None:
    """The weights of RES: b_2 = -h phi_2(-h) h / last, b_1 = h phi_1(-h) - b_2."""
    b_1, b_2 = exponential_weights([0.0, -last], 0.0, h)
    assert b_2 == pytest.approx(-h * phi(2, -h) * h / last, rel=1e-8)
    assert b_1 == pytest.approx(h * phi(1, -h) - b_2, rel=1e-8)


@pytest.mark.parametrize("z", [-9.0, -1.5, -1.0001, -0.9999, -0.3, -1e-6, 0.0, 1e-6, 0.5, 2.0])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_phi_is_its_integral(k: int, z: float) -> None:
    """phi_k(z) = integral of exp((1 - s) z) s^(k-1) / (k-1)! over 0..1 (Hochbruck and Ostermann 2010)."""
    expected = integral(lambda s: math.exp((1 - s) * z) * s ** (k - 1) / math.factorial(k - 1), 0.0, 1.0)
    assert phi(k, z) == pytest.approx(expected, rel=1e-10)
    assert phi(0, z) == math.exp(z)
