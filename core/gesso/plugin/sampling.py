"""What an operation that samples leaves to the model, filled from its card: one place for every such operation. It knows no operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from gesso.errors import InvalidRequest
from gesso.plugin.fields import SEED_MAX

if TYPE_CHECKING:
    from gesso.model import ModelCard
    from gesso.plugin.context import ResolveContext


class Sampling(Protocol):
    """Parameters of an operation that samples; None is left to the model."""

    @property
    def sampler(self) -> str | None:
        """The sampler, or a label that names the schedule too."""
        ...

    @property
    def schedule(self) -> str | None:
        """The noise schedule."""
        ...

    @property
    def steps(self) -> int | None:
        """Sampling steps."""
        ...

    @property
    def guidance(self) -> float | None:
        """Classifier-free guidance scale."""
        ...


class Seeded(Protocol):
    """Parameters of an operation that makes one result, or ``count`` results, from as many seeds."""

    @property
    def seed(self) -> int | None:
        """Seed of the first."""
        ...


def sampled(ctx: ResolveContext, card: ModelCard, params: Sampling) -> dict[str, Any]:
    """Sampler and schedule by their canonical names, steps and guidance: as asked for, or as the model likes them."""
    sampler, schedule = ctx.sampling(params.sampler or card.defaults.sampler, params.schedule)
    return {
        "sampler": sampler,
        "schedule": ctx.schedule(schedule or card.defaults.schedule).name,
        "steps": card.defaults.steps if params.steps is None else params.steps,
        "guidance": card.defaults.guidance if params.guidance is None else params.guidance,
    }


def check_seeds(params: Seeded) -> None:
    """InvalidRequest where the seed is missing, or that of the last result would be too large."""
    if params.seed is None:
        raise InvalidRequest("The seed is missing. A job's seed is chosen before it is resolved.", field="seed")
    if params.seed + getattr(params, "count", 1) - 1 > SEED_MAX:
        raise InvalidRequest(f"The seed of the last picture would be over {SEED_MAX}; choose a smaller seed.", field="seed")
