"""The mathematics that samplers, schedules and operations share: noise, spaces, quadrature. It holds no sampler and calls no model."""

from gesso.math.noise import Noise, NoiseSource, initial_noise, seed_of, uniform
from gesso.math.quadrature import exponential_weights, fixed_adams_bashforth, lagrange_weights, phi
from gesso.math.spaces import Space
from gesso.math.sphere import along, slerp
from gesso.math.times import sigma_at, time_of

__all__ = [
    "Noise",
    "NoiseSource",
    "Space",
    "along",
    "exponential_weights",
    "fixed_adams_bashforth",
    "initial_noise",
    "lagrange_weights",
    "phi",
    "seed_of",
    "sigma_at",
    "slerp",
    "time_of",
    "uniform",
]
