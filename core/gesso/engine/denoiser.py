"""Denoisers to build operations from: each is a generator function ``(x, sigma) -> Denoised`` and wraps others with ``yield from``."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from gesso.engine.calls import Denoise, Denoised, Emit, Preview, Progress
from gesso.engine.drive import Denoiser
from gesso.model import Conditioning, ModelRef, Parametrisation, Patch


def plain(model: ModelRef, cond: Conditioning, patches: Sequence[Patch] = ()) -> Denoiser:
    """No guidance: one row a step, and ``uncond`` equals ``denoised``."""

    def denoiser(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        reply: Denoised = yield Denoise(model, x, sigma, (cond,), tuple(patches))
        return reply

    return denoiser


def masked(denoiser: Denoiser, mask: Tensor, latent: Tensor, noise: Tensor, parametrisation: Parametrisation) -> Denoiser:
    """Keep ``latent`` where ``mask`` (1, 1, h, w) is 0 and let the sampler paint where it is 1; between, they blend.

    The model sees the kept part at the noise level of the moment, with ``noise`` fixed for the whole run, so that the seam agrees.
    """
    keep = 1.0 - mask

    def blended(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        clean = 1.0 - sigma if parametrisation.is_flow else 1.0
        reply = yield from denoiser(x * mask + (latent * clean + noise * sigma) * keep, sigma)
        return replace(reply, denoised=reply.denoised * mask + latent * keep, uncond=reply.uncond * mask + latent * keep)

    return blended


def reporting(denoiser: Denoiser, *, image: int, model: ModelRef, sigmas: Sequence[float], total: int | None = None) -> Denoiser:
    """Tell progress and preview after each answer. ``total``: evaluations of the whole run; None: the sampler cannot know, and the fraction
    is how far log sigma has come down from ``sigmas[0]`` to the smallest positive one (never backwards, where sigma rises again).
    """
    high, low = sigmas[0], min(s for s in sigmas if s > 0)
    span = math.log(high / low) or 1.0
    step, fraction = 0, 0.0

    def told(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        nonlocal step, fraction
        reply = yield from denoiser(x, sigma)
        step += 1
        now = step / total if total else math.log(high / max(sigma, low)) / span
        fraction = min(1.0, max(fraction, now))
        yield Emit(Progress(image, step, total, sigma, fraction), Preview(image, model, reply.denoised))
        return reply

    return told
