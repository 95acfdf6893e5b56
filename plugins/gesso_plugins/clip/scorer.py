"""The scorer `clip`: the cosine between what a model sees in a picture and what it reads in the prompt."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from gesso.engine import Embed
from gesso.media.preparing import SMALLEST
from gesso.plugin import ScoreContext, scorer
from gesso_plugins.clip.choice import embedder


@scorer("clip", title="CLIP similarity", paper="Radford et al. 2021; Hessel et al. 2021, CLIPScore", prompted=True)
def clip(ctx: ScoreContext) -> Generator[Any, Any, Sequence[float]]:
    """max(0, cosine), all pictures in one forward; no number for a picture that is too small to see anything."""
    model = embedder(ctx.job, ctx.options)
    large = [place for place, picture in enumerate(ctx.pictures) if min(picture.shape[:2]) >= SMALLEST]
    if len(large) < len(ctx.pictures):
        ctx.job.warn(f"A picture of less than {SMALLEST} pixels a side is too small to be compared with words.")
    scores = [float("nan")] * len(ctx.pictures)
    if large:
        seen, read = yield Embed(model, tuple(ctx.pictures[place] for place in large), (ctx.prompt,))
        for place, cosine in zip(large, (seen @ read[0]).tolist(), strict=True):
            scores[place] = max(0.0, cosine)
    return scores
