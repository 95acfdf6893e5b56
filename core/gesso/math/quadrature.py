"""Weights of multistep and exponential integrators: integrals of interpolation polynomials, by Gauss-Legendre quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

_POINTS = 32
"""Exact for polynomials up to degree 63, and for exp(-20 s) on 0..1 to 1e-13."""


@cache
def _gauss(points: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return tuple(0.5 * (nodes + 1)), tuple(0.5 * weights)


def integral(function: Callable[[float], float], start: float, end: float) -> float:
    """Integral of a smooth function from ``start`` to ``end``."""
    nodes, weights = _gauss(_POINTS)
    return (end - start) * math.fsum(w * function(start + s * (end - start)) for s, w in zip(nodes, weights, strict=True))


def _basis(nodes: Sequence[float], j: int, t: float) -> float:
    """The j-th Lagrange polynomial of ``nodes`` at t."""
    return math.prod((t - node) / (nodes[j] - node) for k, node in enumerate(nodes) if k != j)


def lagrange_weights(nodes: Sequence[float], start: float, end: float, weight: Callable[[float], float] = lambda _: 1.0) -> list[float]:
    """w_j = integral of L_j(t) * weight(t) from start to end: the integral of f is sum_j w_j f(nodes[j]), exact for low polynomials.

    With ``nodes`` the newest times first and weight 1 these are the Adams-Bashforth weights for steps of any length.
    """
    return [integral(lambda t, j=j: _basis(nodes, j, t) * weight(t), start, end) for j in range(len(nodes))]  # type: ignore[misc]


def exponential_weights(nodes: Sequence[float], start: float, end: float, rate: float = 1.0) -> list[float]:
    """w_j = rate * integral of L_j(t) exp(-rate (end - t)) from start to end; their sum is 1 - exp(-rate (end - start))."""
    return [rate * w for w in lagrange_weights(nodes, start, end, lambda t: math.exp(-rate * (end - t)))]


_ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def fixed_adams_bashforth(order: int) -> tuple[float, ...]:
    """The classic weights for equal steps, order 1 to 4, newest first; they sum to 1."""
    return _ADAMS_BASHFORTH[order - 1]


def phi(k: int, z: float) -> float:
    """phi_k(z) of exponential integrators: phi_0 = exp, phi_k(z) = (phi_{k-1}(z) - 1 / (k-1)!) / z (Hochbruck and Ostermann 2010)."""
    if k == 0:
        return math.exp(z)
    if abs(z) < 1.0:
        return math.fsum(z**n / math.factorial(n + k) for n in range(20))
    return (phi(k - 1, z) - 1 / math.factorial(k - 1)) / z
