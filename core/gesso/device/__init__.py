"""The device a worker owns: which weights are on it, how many threads serve it, and the name of the environment that fixes a result's bytes."""

from gesso.device.environment import environment
from gesso.device.residency import Catalogue, ModelPool, budget_of
from gesso.device.threads import thread_count

__all__ = ["Catalogue", "ModelPool", "budget_of", "environment", "thread_count"]
