"""What plugin authors test with, as Gesso's own tests do: denoisers with closed forms, a driver, a studio that runs operations, a daemon in
the test's own process, and the conformance checks. `gesso.testing.fixtures` offers them as fixtures of pytest, which finds it by itself;
so nothing is imported here before it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gesso.testing.conformance import check_operation, check_scorer, check_upscaler
    from gesso.testing.denoisers import Consistency, Gaussian, Mixture, Wavy, epsilon_model, flow_model
    from gesso.testing.driver import Trajectory, run, trace
    from gesso.testing.inprocess import InProcessDaemon
    from gesso.testing.kit import check_sampler, check_schedule
    from gesso.testing.studio import Made, Studio

__all__ = [
    "Consistency",
    "Gaussian",
    "InProcessDaemon",
    "Made",
    "Mixture",
    "Studio",
    "Trajectory",
    "Wavy",
    "check_operation",
    "check_sampler",
    "check_schedule",
    "check_scorer",
    "check_upscaler",
    "epsilon_model",
    "flow_model",
    "run",
    "trace",
]

_MODULES = {
    "conformance": ("check_operation", "check_scorer", "check_upscaler"),
    "denoisers": ("Consistency", "Gaussian", "Mixture", "Wavy", "epsilon_model", "flow_model"),
    "driver": ("Trajectory", "run", "trace"),
    "inprocess": ("InProcessDaemon",),
    "kit": ("check_sampler", "check_schedule"),
    "studio": ("Made", "Studio"),
}


def __getattr__(name: str) -> Any:
    import importlib

    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
