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


class Drawing(Protocol):
    """Parameters of an operation that draws tokens; None is left to the model."""

    @property
    def temperature(self) -> float | None:
        """What logits are divided by."""
        ...

    @property
    def top_p(self) -> float | None:
        """Of how likely tokens together the next is drawn."""
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


def drawn(card: ModelCard, params: Drawing) -> dict[str, Any]:
    """How tokens are drawn: as asked for, or as the model likes it."""
    names = ("temperature", "top_p")
    return {name: getattr(card.defaults, name) if getattr(params, name) is None else getattr(params, name) for name in names}


def settled_sampling(ctx: ResolveContext, card: ModelCard, params: Any) -> dict[str, Any]:
    """What of its sampling the model hears, of parameters that speak of both kinds; nothing for a model that samples by itself."""
    if "denoise" in card.capabilities:
        return sampled(ctx, card, params)
    return drawn(card, params) if "next_tokens" in card.capabilities else {}


def check_seeds(params: Seeded) -> None:
    """InvalidRequest where the seed is missing, or that of the last result would be too large."""
    if params.seed is None:
        raise InvalidRequest("The seed is missing. A job's seed is chosen before it is resolved.", field="seed")
    if params.seed + getattr(params, "count", 1) - 1 > SEED_MAX:
        raise InvalidRequest(f"The seed of the last picture would be over {SEED_MAX}; choose a smaller seed.", field="seed")
