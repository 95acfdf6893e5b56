"""What a job says of embeddings: whose they are, how they are moved, and how the parts of a cascade are run. Checks alone; no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest
from gesso.plugin.likeness import MOVES, moves
from gesso_plugins.imaging.params import GenerateParams

if TYPE_CHECKING:
    from gesso.model import ModelCard

LIKENESS = ("like", *MOVES)
"""The fields that only models take that see a picture as an embedding."""
HALF_WAY = 0.5


def check_likeness(card: ModelCard, params: GenerateParams) -> float | None:
    """How far the embedding is moved, or None where it stays; InvalidRequest for what says too little or too much."""
    if params.like is None:
        moved = next((name for name in MOVES if getattr(params, name) is not None), None)
        if moved is not None:
            raise InvalidRequest("There is no picture whose embedding could be moved.", field=moved, hint="Give one with `like`.")
        if "imagine" not in card.capabilities:
            raise InvalidRequest(
                f"The model {card.name!r} makes others of a picture, and nothing of words alone.",
                field="prompt",
                hint="Give a picture with `like`, use `vary`, or choose a model that can do 'imagine'.",
            )
    if moves(params):
        return HALF_WAY if params.strength is None else params.strength
    if params.strength is not None:
        raise InvalidRequest(
            "A strength was given with nothing to move towards.", field="strength", hint="Give toward, or from_text and to_text."
        )
    return None


def cascade_options(card: ModelCard, params: GenerateParams) -> dict[str, Any]:
    """``options.<family>`` complete: what the parts do best with where the job says nothing."""
    assert card.cascade is not None
    parts = {"prior": card.cascade.prior, "upsampler": card.cascade.upsampler}
    own: dict[str, Any] = {f"{name}_steps": part.steps for name, part in parts.items() if part is not None}
    if card.cascade.prior is not None:
        own["prior_guidance"] = card.cascade.prior.guidance
    given = params.options.get(card.family, {})
    for name, value in given.items():
        whole = name.endswith("_steps")
        fits = type(value) in ((int,) if whole else (int, float)) and (1 <= value <= 1000 if whole else 0 <= value <= 100)
        if not fits:
            wanted = "a whole number from 1 to 1000" if whole else "a number from 0 to 100"
            raise InvalidRequest(f"{value!r} is no {name}: it is {wanted}.", field=f"options.{card.family}.{name}")
    return {**own, **given}
