"""Best of N with pruning: at given fractions of the run the pictures so far are scored, and the samplers of the worst are closed. What is
left is what it would have been without the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gesso.engine import All, Decode, Denoised, Denoiser, Emit, ModelRef, Progress, Run, drive
from gesso.errors import InvalidRequest
from gesso.media import images
from gesso.model import Patch
from gesso.plugin import JobContext
from gesso.plugin.choosing import best
from gesso_plugins.imaging.params import GenerateParams


@dataclass(eq=False)
class Candidate:
    """One picture under way: its sampler, what answers it, the evaluations ``before`` these (of its draft), and the newest x0."""

    index: int
    run: Run
    denoiser: Denoiser
    before: int = 0
    x0: Tensor | None = None

    def advance(self, steps: int | None) -> Generator[Any, Any, Tensor]:
        """So many evaluations more; None: to the end."""
        return (yield from drive(self.run, self._watched, steps))

    def _watched(self, x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        reply = yield from self.denoiser(x, sigma)
        self.x0 = reply.denoised
        return reply


@dataclass(frozen=True)
class Judging:
    """What the pictures so far are judged by, and how a latent becomes one."""

    ctx: JobContext
    params: GenerateParams
    model: ModelRef
    patches: tuple[Patch, ...]

    def best(self, left: list[Candidate], keep: int, progress: float) -> Generator[Any, Any, list[Candidate]]:
        """The ``keep`` best, in the order in which they came."""
        if keep >= len(left):
            return left
        decoded = yield All(*(Decode(self.model, each.x0, self.patches) for each in left if each.x0 is not None))
        pictures = [images.to_uint8(picture) for picture in decoded]
        params = self.params
        scores = yield from self.ctx.scores(params.score, pictures, prompt=params.prompt, tile=params.tile, progress=progress)
        return [left[place] for place in sorted(best(scores, keep))]


def drafted(judging: Judging, drafts: Sequence[Candidate], keep: int) -> Generator[Any, Any, list[int]]:
    """Make all drafts; the indices of the best, in the order in which they came."""
    params = judging.params
    latents = yield All(*(draft.advance(None) for draft in drafts))
    for draft, latent in zip(drafts, latents, strict=True):
        draft.x0 = latent
    best = yield from judging.best(list(drafts), keep, min(1.0, (params.draft or 0) / (params.steps or 1)))
    for draft in drafts:
        if draft not in best:
            taken = draft.run.evaluations
            yield Emit(Progress(draft.index, taken, taken, 0.0, 1.0))
    return [draft.index for draft in best]


def countable(params: GenerateParams, total: int | None) -> int:
    """The evaluations of a run; InvalidRequest for a sampler that cannot say."""
    if total is None:
        said = f"The sampler {params.sampler!r} cannot say how many evaluations it takes."
        raise InvalidRequest(said, field="prune" if params.prune else "draft", hint="Choose another sampler, or leave it out.")
    return total


def pruned(judging: Judging, total: int, started: Sequence[Candidate], stages: Sequence[int]) -> Generator[Any, Any, dict[int, Tensor]]:
    """Drive all candidates, giving the worst up on the way until ``stages`` are left; the final latents of the others by their index."""
    params, left, done = judging.params, list(started), 0
    with contextlib.ExitStack() as runs:
        for candidate in started:
            runs.enter_context(candidate.run)
        for fraction, keep in zip(params.prune, stages, strict=True):
            steps = max(round(fraction * total), done + 1)
            yield All(*(candidate.advance(steps - done) for candidate in left))
            done = steps
            kept = yield from judging.best(left, keep, min(done / total, 1.0))
            for candidate in left:
                if candidate not in kept:
                    candidate.run.close()
                    yield Emit(Progress(candidate.index, candidate.before + done, candidate.before + total, 0.0, 1.0))
            left = kept
        latents = yield All(*(candidate.advance(None) for candidate in left))
    return {candidate.index: latent for candidate, latent in zip(left, latents, strict=True)}
