"""What plugin authors test with, as Gesso's own tests do: denoisers with closed forms, a driver, and the conformance kit for samplers."""

from gesso.testing.denoisers import Consistency, Gaussian, Mixture, Wavy, epsilon_model, flow_model
from gesso.testing.driver import Trajectory, run, trace
from gesso.testing.kit import check_sampler, check_schedule

__all__ = [
    "Consistency", "Gaussian", "Mixture", "Trajectory", "Wavy", "check_sampler", "check_schedule", "epsilon_model", "flow_model", "run",
    "trace",
]
