"""Denoisers to build operations from: each is a generator function ``(x, sigma) -> Denoised`` and wraps others with ``yield from``."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gesso.engine.calls import CallError, Denoise, Denoised, DenoiseGrad, Emit, Job, Preview, Progress
from gesso.engine.drive import Denoiser
from gesso.engine.guidance import fraction_of
from gesso.model import Conditioning, Control, ModelRef, Parametrisation, Patch


def plain(model: ModelRef, cond: Conditioning, patches: Sequence[Patch] = ()) -> Denoiser:
    """No guidance: one row a step, and ``uncond`` equals ``denoised``."""

    def denoiser(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        reply: Denoised = yield Denoise(model, x, sigma, (cond,), tuple(patches))
        return reply

    return denoiser


@dataclass(frozen=True)
class Kept:
    """What stays of a picture while the rest is painted: its ``latent`` (1, C, h, w) and the ``noise`` that it is seen with, fixed for the
    whole run so that the seam agrees; ``mask`` (1, 1, h, w) is 0 where it is kept to the end and 1 where it is painted from the start.

    Between, a place is kept until only that part of ``sigmas`` is left (Levin and Fried 2023, arXiv 2306.00950, Differential Diffusion);
    without ``sigmas`` the two blend.
    """

    mask: Tensor
    latent: Tensor
    noise: Tensor
    sigmas: Sequence[float] = ()

    def painted(self, sigma: float) -> Tensor:
        """How much of each place is painted at this level."""
        if not self.sigmas:
            return self.mask
        done = fraction_of(sigma, [-level for level in self.sigmas])
        return ((self.mask > 0) & (self.mask >= 1.0 - done - 1e-6)).to(self.mask.dtype)


def masked(denoiser: Denoiser, kept: Kept, parametrisation: Parametrisation) -> Denoiser:
    """Keep part of a picture: the model sees it at the noise level of the moment, and the sampler is told that it is clean already."""

    def blended(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        mask = kept.painted(sigma)
        rest = kept.latent * (1.0 - mask)
        clean = 1.0 - sigma if parametrisation.is_flow else 1.0
        reply = yield from denoiser(x * mask + rest * clean + kept.noise * (1.0 - mask) * sigma, sigma)
        return replace(reply, denoised=reply.denoised * mask + rest, uncond=reply.uncond * mask + rest)

    return blended


@dataclass(frozen=True)
class Steer:
    """A control and the fractions of the steps between which it is heard (the end is left out, but for 1)."""

    control: Control
    start: float = 0.0
    end: float = 1.0

    def heard(self, fraction: float) -> bool:
        """Whether it has a say at this point of the run."""
        return self.start <= fraction and (fraction < self.end or self.end >= 1.0)


def steered(denoiser: Denoiser, steers: Sequence[Steer], sigmas: Sequence[float]) -> Denoiser:
    """Every `Denoise` of the denoiser with the controls that are heard at its moment. ``sigmas``: the steps that fractions are taken of."""
    levels = [-sigma for sigma in sigmas]

    def controlled(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        fraction = fraction_of(sigma, levels)
        heard = tuple(steer.control for steer in steers if steer.heard(fraction))
        return (yield from relayed(denoiser(x, sigma), lambda call: _with_controls(call, heard), lambda _, reply: reply))

    return controlled


@dataclass(frozen=True)
class Regions:
    """Prompts for parts of a picture. ``whole``: the prompt's own conditioning; ``conds``: one for each region; ``weights``
    (1 + len(conds), 1, h, w): how much of a place each of them has, the whole first; they add up to 1 everywhere.
    """

    whole: Conditioning
    conds: tuple[Conditioning, ...]
    weights: Tensor


def regional(denoiser: Denoiser, regions: Regions) -> Denoiser:
    """Every prediction for the prompt is one for each of the regions, mixed: ``x0 = sum_i weights_i * x0(x, cond_i)`` (Bar-Tal et al. 2023,
    MultiDiffusion, arXiv 2302.08113, eq. 5). The other rows stay as they are, so that guidance pulls each place towards its own words.
    """

    def mixed(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        job = denoiser(x, sigma)
        return (yield from relayed(job, lambda call: _spread(call, regions), lambda call, reply: _joined(call, reply, regions)))

    return mixed


def relayed(job: Job, ask: Callable[[Any], Any], answer: Callable[[Any, Any], Any]) -> Generator[Any, Any, Denoised]:
    """A generator whose calls are changed on their way out, and whose replies on their way in (given the call as it was)."""
    with contextlib.closing(job) as inner:
        try:
            call = next(inner)
            while True:
                try:
                    reply = yield ask(call)
                except CallError as fault:
                    call = inner.throw(fault)
                else:
                    call = inner.send(answer(call, reply))
        except StopIteration as end:
            finished: Denoised = end.value
            return finished


def _with_controls(call: Any, controls: tuple[Control, ...]) -> Any:
    match call:
        case Denoise():
            return replace(call, controls=controls)
        case DenoiseGrad():
            return replace(call, denoise=replace(call.denoise, controls=controls))
        case _:
            return call


def _spread(call: Any, regions: Regions) -> Any:
    """The call with a row for each region after each row of the prompt, perturbed as that is."""
    if not isinstance(call, Denoise):
        return call
    rows = [
        (cond, call.perturbation(place))
        for place, asked in enumerate(call.conds)
        for cond in ((asked, *regions.conds) if asked is regions.whole else (asked,))
    ]
    perturbations = tuple(perturbation for _, perturbation in rows) if call.perturbations else ()
    return replace(call, conds=tuple(cond for cond, _ in rows), perturbations=perturbations)


def _joined(call: Any, reply: Any, regions: Regions) -> Any:
    """The reply as the call expected it."""
    if not isinstance(call, Denoise):
        return reply
    left = iter(reply.predictions)
    found = []
    for asked in call.conds:
        first = next(left)
        if asked is regions.whole:
            rows = torch.cat([first, *(next(left) for _ in regions.conds)])
            first = (rows * regions.weights.to(rows)).sum(0, keepdim=True)
        found.append(first)
    return Denoised(found[0], found[-1], tuple(found))


def reporting(
    denoiser: Denoiser, *, image: int, model: ModelRef, sigmas: Sequence[float], total: int | None = None, done: int = 0
) -> Denoiser:
    """Tell progress and preview after each answer. ``total``: evaluations of the whole run, of which so many are ``done``; None: the
    sampler cannot know, and the fraction is how far log sigma has come down from ``sigmas[0]`` to the smallest positive one (never
    backwards, where sigma rises again).
    """
    high, low = sigmas[0], min(s for s in sigmas if s > 0)
    span = math.log(high / low) or 1.0
    step, fraction = done, 0.0

    def told(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        nonlocal step, fraction
        reply = yield from denoiser(x, sigma)
        step += 1
        now = step / total if total else math.log(high / max(sigma, low)) / span
        fraction = min(1.0, max(fraction, now))
        yield Emit(Progress(image, step, total, sigma, fraction), Preview(image, model, reply.denoised))
        return reply

    return told
