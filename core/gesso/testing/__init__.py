"""What plugin authors test with, as Gesso's own tests do: denoisers with closed forms, a driver, a studio that runs operations, and the
conformance checks. `gesso.testing.fixtures` offers them as fixtures of pytest.
"""

from gesso.testing.conformance import check_operation, check_scorer, check_upscaler
from gesso.testing.denoisers import Consistency, Gaussian, Mixture, Wavy, epsilon_model, flow_model
from gesso.testing.driver import Trajectory, run, trace
from gesso.testing.kit import check_sampler, check_schedule
from gesso.testing.studio import Made, Studio

__all__ = [
    "Consistency", "Gaussian", "Made", "Mixture", "Studio", "Trajectory", "Wavy", "check_operation", "check_sampler", "check_schedule",
    "check_scorer", "check_upscaler", "epsilon_model", "flow_model", "run", "trace",
]
