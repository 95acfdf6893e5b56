"""Pictures of models that draw tokens: one after the other in reading order, each given the words and the tokens before it. Where a picture
is changed, tokens that are kept are given too, and those after a place have no say in it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gesso.engine import All, Decode, Emit, EncodeImage, EncodeText, Host, Load, ModelRef, NextTokens, Preview, Progress, Token
from gesso.math import uniform
from gesso.media import Output, images
from gesso.media.seam import seams
from gesso.model import Conditioning, ModelCard, Patch, Seamless, TokenChoice
from gesso.plugin import JobContext
from gesso.plugin.choosing import alone, candidates
from gesso_plugins.imaging.masking import Mask, read_mask
from gesso_plugins.imaging.params import GenerateParams

UNKNOWN = -1
"""In previews: a token that is not drawn yet."""


@dataclass(frozen=True)
class Start:
    """The picture that is changed: ``source`` (1, 3, H, W) in 0..1, its ``tokens`` (n,), how likely each of them is redone (n,) where all
    may be, and the ``mask``.
    """

    source: Tensor
    tokens: Tensor
    chances: Tensor
    mask: Mask | None


def continue_all(ctx: JobContext, card: ModelCard, params: GenerateParams) -> Generator[Any, Any, list[Output]]:
    """All pictures of a job, one generator each; their forwards are shared with those of other jobs, wherever these stand."""
    wraps = "x" in params.tile, "y" in params.tile
    task = Continuing(card, params, (Seamless(*wraps),) if any(wraps) else ())
    yield Load(task.model)
    ((cond,),) = yield All(EncodeText(task.model, (params.prompt,)))
    start = None if params.image is None else (yield from task.started(ctx))
    return list((yield All(*(task.picture(cond, start, index) for index in range(candidates(params))))))


class Continuing:
    """What the pictures of one job share."""

    def __init__(self, card: ModelCard, params: GenerateParams, patches: tuple[Patch, ...]) -> None:
        assert card.latent is not None
        self._params, self._patches = params, patches
        self.model = ModelRef(card.name, card.digest)
        self._shape = (1, *card.latent.shape(params.width or 0, params.height or 0))

    def started(self, ctx: JobContext) -> Generator[Any, Any, Start]:
        """Read the picture to change, and the mask."""
        params = self._params
        assert params.image is not None
        source = yield Host(images.to_planes, (ctx.blob(params.image.sha256), params.width, params.height))
        tokens = yield EncodeImage(self.model, source, self._patches)
        mask = None
        if params.mask is not None:
            mask = yield Host(read_mask, (ctx.blob(params.mask.sha256), params.width, params.height))
        chances = torch.ones(self._shape) if mask is None else mask.brightest(*self._shape[-2:])
        return Start(source, tokens.flatten(), chances.flatten(), mask)

    def picture(self, cond: Conditioning, start: Start | None, index: int) -> Generator[Any, Any, Output]:
        """One picture: its tokens, then the decoder."""
        params = self._params
        assert params.seed is not None
        seed = params.seed + index
        tokens, surety = yield from self._tokens(cond, start, index, seed)
        image = yield Decode(self.model, tokens.view(self._shape), self._patches)
        if start is not None and start.mask is not None and params.paste:
            image = start.mask.kept(image, start.source)
        pixels = images.to_samples(image, params.bits)
        measured: dict[str, Any] = {"log_probability": round(surety, 5)}
        if params.tile != "none":
            measured["seam"] = yield Host(seams, (pixels, params.tile))
        return Output(
            pixels=pixels,
            role="image",
            index=index,
            seed=seed,
            params=alone(params, seed),
            model=self.model.name,
            info={"measured": measured},
        )

    def _tokens(self, cond: Conditioning, start: Start | None, index: int, seed: int) -> Generator[Any, Any, tuple[Tensor, float]]:
        """The tokens (n,) of one picture, and the mean log-probability of those that were drawn. Token i is drawn by the i-th random number
        of the seed, whichever others are kept.
        """
        params = self._params
        count = self._shape[-2] * self._shape[-1]
        draws, chances = torch.split(uniform(2 * count, seed), count)
        found = torch.full((count,), UNKNOWN) if start is None else start.tokens.clone()
        free = torch.ones(count, dtype=torch.bool) if start is None else chances < start.chances * (params.strength or 0.0)
        found[free] = UNKNOWN
        assert params.temperature is not None
        assert params.top_p is not None
        choice = TokenChoice(params.temperature, params.top_k, params.top_p)
        places, total = free.nonzero().flatten().tolist(), 0.0
        for step, place in enumerate(places, 1):
            before = tuple(found[:place].tolist())
            token: Token = yield NextTokens(self.model, cond, index, before, float(draws[place]), choice)
            found[place] = token.number
            total += token.log_probability
            shown = found.view(self._shape).clone()
            yield Emit(Progress(index, step, len(places), 0.0, step / len(places)), Preview(index, self.model, shown))
        return found, total / max(1, len(places))
