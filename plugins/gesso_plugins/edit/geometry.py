"""From a mask and a model to everything that is measured in pixels: how far the edit reaches, what the model sees, and how large.

With d the diagonal of the box around the mask, s the strength, and lengths in pixels of the canvas:

    grow     what the mask is widened by, so that its own edge is redone:    2 + d / 100, at most 16
    feather  over how much the change fades in beyond that:                  s * d / 12, between 8 and 96
    blend    over how much the result fades into the picture:                (grow + feather) / 2, at most 48
    reach    how far from the mask a pixel may still change:                 grow + feather
    context  the box around the mask and its reach, padded by a third of its longer side (times s), at least `least` a side (the
             model's favourite side) and a whole multiple of what the model needs, so that nothing is scaled, moved inside the canvas

All follow from the arguments alone: same mask, same canvas, same model, same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gesso.model.card import ModelCard
from gesso_plugins.edit.boxes import Box

LARGEST_REACH = 96
TWO_PASSES = 1.5
"""How many times longer than the model's favourite side the context must be before it is made twice: small, then refined."""


@dataclass(frozen=True)
class Margins:
    """Lengths in pixels of the canvas."""

    grow: int
    feather: int
    blend: int

    @property
    def reach(self) -> int:
        """How far from the mask a pixel may change."""
        return self.grow + self.feather


@dataclass(frozen=True)
class Wishes:
    """What a user may set by hand; None takes the formula."""

    grow: int | None = None
    feather: int | None = None
    blend: int | None = None
    padding: float = 1 / 3


@dataclass(frozen=True)
class Geometry:
    """Where an edit takes place. ``first`` and ``working`` are sizes (width, height) that the model makes: the first pass, and the last."""

    region: Box
    margins: Margins
    context: Box
    first: tuple[int, int]
    working: tuple[int, int]

    @property
    def two_passes(self) -> bool:
        """Whether a small picture is made first and refined at the working size."""
        return self.first != self.working


def margins(region: Box, strength: float, wishes: Wishes) -> Margins:
    """The lengths for a region (the box around the mask) and a strength in 0..1."""
    grow = min(16, 2 + int(region.diagonal / 100)) if wishes.grow is None else wishes.grow
    feather = min(LARGEST_REACH, max(8, int(strength * region.diagonal / 12))) if wishes.feather is None else wishes.feather
    blend = min(48, (grow + feather) // 2) if wishes.blend is None else wishes.blend
    return Margins(grow, feather, min(blend, grow + feather))


def plan(region: Box, canvas: Box, card: ModelCard, strength: float, wishes: Wishes) -> Geometry:
    """Everything about an edit of the region (inside the canvas) by a model."""
    lengths = margins(region, strength, wishes)
    reached = region.padded(lengths.reach)
    padding = int(wishes.padding * strength * max(reached.width, reached.height))
    favourite = min(card.defaults.width, card.defaults.height)
    wanted = reached.padded(padding)
    least = favourite if strength >= 1 else favourite // 2
    context = wanted.at_least(least, least).rounded(card.limits.multiple).within(canvas)
    return Geometry(region, lengths, context, *sizes(context, card))


def sizes(context: Box, card: ModelCard) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and working size: as many pixels as the context has, but no fewer than the model's favourite area, and at most twice its
    sides; a context much larger than the favourite is made small first.
    """
    favourite = card.defaults.width * card.defaults.height
    scale = math.sqrt(favourite / context.area)
    longest = max(context.width, context.height)
    working = max(scale, 1.0) if scale > 1 else 1.0
    working = min(working, 2.0 if scale > 1 else 1.0, card.limits.largest / longest)
    working = max(working, card.limits.smallest / min(context.width, context.height))
    last = _size(context, working, card)
    if working / scale < TWO_PASSES:
        return last, last
    return _size(context, scale, card), last


def _size(context: Box, scale: float, card: ModelCard) -> tuple[int, int]:
    """The sizes nearest to the context at a scale that the model can make."""
    return card.limits.nearest(round(context.width * scale)), card.limits.nearest(round(context.height * scale))
