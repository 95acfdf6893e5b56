"""What each step of learning is shown: pictures, words, noise and noise levels, drawn from (seed, step) alone, so that a run that goes on
equals one that was never broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gesso.model import Conditioning, Lesson, ModelCard
from gesso_plugins.learning.recipe import Recipe

_STREAM, _HELD_OUT_STREAM = 90, 91


@dataclass(frozen=True)
class Example:
    """A picture as its latent (1, C, h, w), and its words."""

    latent: Tensor
    cond: Conditioning


@dataclass(frozen=True)
class Examples:
    """All of them, and no words. Those that fit into one forward are in one group."""

    examples: tuple[Example, ...]
    blank: Conditioning

    def group(self, place: int) -> list[Example]:
        """The examples of the size and the layout of words of number ``place``."""
        first = self.examples[place]
        layout = first.latent.shape, first.cond.layout()
        return [each for each in self.examples if (each.latent.shape, each.cond.layout()) == layout]


def told(cond: Conditioning, card: ModelCard) -> Conditioning:
    """Words for a network that hears the guidance too: it learns at 1, where its own answer is the one that is wanted."""
    return replace(cond, extras={**cond.extras, "guidance": torch.ones(1)}) if card.embeds_guidance else cond


def wraps(tile: str) -> tuple[bool, bool]:
    """Along x, along y."""
    return "x" in tile, "y" in tile


def draw(examples: Examples, card: ModelCard, recipe: Recipe, step: int) -> Lesson:
    """The lesson of a step."""
    rng = np.random.default_rng([recipe.seed, _STREAM, step])
    group = examples.group(int(rng.integers(len(examples.examples))))
    chosen = [group[place] for place in rng.integers(len(group), size=recipe.batch)]
    latents = torch.cat([_rolled(each.latent, recipe.tile, rng) for each in chosen])
    blank = rng.random() < recipe.dropout
    conds = tuple(examples.blank if blank else each.cond for each in chosen)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    levels = drawn_levels(card, latents, torch.rand(recipe.batch, generator=generator), generator)
    return Lesson(latents, torch.randn(latents.shape, generator=generator), levels, conds, wraps(recipe.tile), recipe.half)


def held_out(examples: Sequence[Example], card: ModelCard, recipe: Recipe) -> list[Lesson]:
    """The same lessons at every look: each held-out picture at four noise levels."""
    lessons = []
    for place, example in enumerate(examples):
        generator = torch.Generator().manual_seed(_HELD_OUT_STREAM * 1_000_003 + place)
        latents = example.latent.expand(4, -1, -1, -1)
        sigmas = drawn_levels(card, latents, torch.zeros(4))
        noise = torch.randn(latents.shape, generator=generator)
        lessons.append(Lesson(latents, noise, sigmas, (example.cond,) * 4, wraps(recipe.tile), recipe.half))
    return lessons


def drawn_levels(card: ModelCard, latents: Tensor, uniform: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Trained noise levels of the model, one a row (B,), stratified over the rows, whose order is drawn where a generator is given. All are
    equally likely, those of flows by a logit-normal (Esser et al. 2024, arXiv 2403.03206, section 3.1).
    """
    assert card.latent is not None
    factor, count = card.latent.factor, len(latents)
    levels = card.levels(latents.shape[3] * factor, latents.shape[2] * factor)
    order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
    share = (order + (0.5 if generator is None else 0.0) + uniform) / count
    if levels.is_flow:
        share = torch.sigmoid(torch.special.ndtri(share.clamp(1e-4, 1 - 1e-4)))
    sigmas = torch.tensor(levels.sigmas, dtype=torch.float32)
    return sigmas[(share * len(sigmas)).long().clamp(max=len(sigmas) - 1)]


def _rolled(latent: Tensor, tile: str, rng: np.random.Generator) -> Tensor:
    """A seamless picture rolled anywhere is the same picture: a latent goes round by whole places along the axes that wrap."""
    down, across = (int(rng.integers(side)) for side in latent.shape[2:])
    return torch.roll(latent, (down * ("y" in tile), across * ("x" in tile)), (2, 3)) if tile != "none" else latent
