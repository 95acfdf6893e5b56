"""Pictures of models that make them in parts (`gesso.model.Cascade`): an embedding of words or of pictures, a small picture, a large."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gesso.engine import (
    All,
    Apply,
    Decode,
    Denoised,
    Denoiser,
    Emit,
    EncodeImage,
    EncodeText,
    Guide,
    Host,
    Load,
    ModelRef,
    Preview,
    Progress,
    Prompted,
    drive,
    guided,
    plain,
)
from gesso.math import Noise, along, initial_noise, seed_of, slerp
from gesso.media import Output, images
from gesso.media.seam import seams
from gesso.model import Conditioning, Latent, ModelCard, Part, Patch, Seamless
from gesso.plugin import JobContext
from gesso.plugin.choosing import alone, candidates
from gesso_plugins.imaging.guiding import SCALE
from gesso_plugins.imaging.params import GenerateParams
from gesso_plugins.imaging.running import beside, called, evaluations, noise_levels, pure_noise


def unfold_all(ctx: JobContext, card: ModelCard, params: GenerateParams) -> Generator[Any, Any, list[Output]]:
    """All pictures of a job, one generator each."""
    task = yield from unfolding(ctx, card, params)
    yield Load(task.model)
    yield from task.prepare()
    return list((yield All(*(task.picture(i) for i in range(candidates(params))))))


def unfolding(ctx: JobContext, card: ModelCard, params: GenerateParams) -> Generator[Any, Any, Unfolding]:
    """The parts that are run, their noise levels, and how many evaluations come before each."""
    assert card.cascade is not None
    assert card.latent is not None
    assert params.sampler is not None
    assert params.schedule is not None
    width, height = params.width or 0, params.height or 0
    own = params.options[card.family]
    parts = [
        ("prior", card.cascade.prior if params.like is None else None, (card.cascade.width, 1, 1), own.get("prior_steps")),
        ("decoder", card.cascade.decoder, card.latent.shape(width, height), params.steps),
        ("upsampler", card.cascade.upsampler, Latent(card.latent.channels, 1).shape(width, height), own.get("upsampler_steps")),
    ]
    scales = {"prior": own.get("prior_guidance", 1.0), "decoder": params.guidance}
    sampler, schedule = ctx.sampler(params.sampler), ctx.schedule(params.schedule)
    legs: dict[str, Leg] = {}
    done = 0
    for name, part, shape, steps in parts:
        if part is not None:
            sigmas = yield from beside(schedule.remote, noise_levels, schedule, part.parametrisation, steps)
            legs[name] = Leg(name, part, (1, *shape), sigmas, float(scales.get(name, 1.0)), done)
            done += (yield from beside(sampler.remote, evaluations, sampler, sigmas, part.parametrisation)) or 0
    return Unfolding(ctx, card, params, legs, done)


@dataclass(frozen=True)
class Leg:
    """One part in one job: the shape of its x, its noise levels, the guidance, and how many evaluations lie behind it."""

    name: str
    part: Part
    shape: tuple[int, ...]
    sigmas: list[float]
    guidance: float
    done: int


class Unfolding:
    """What the pictures of one job share: the parts, the words, and the embedding where pictures give it."""

    def __init__(self, ctx: JobContext, card: ModelCard, params: GenerateParams, legs: dict[str, Leg], total: int) -> None:
        assert params.sampler is not None
        assert params.schedule is not None
        self.model = ModelRef(card.name, card.digest)
        self._ctx, self._params, self._legs, self._total = ctx, params, legs, total
        self._sampler, self._schedule, self._scale = ctx.sampler(params.sampler), ctx.schedule(params.schedule), ctx.guidance(SCALE)
        wraps = "x" in params.tile, "y" in params.tile
        self._patches: tuple[Patch, ...] = (Seamless(*wraps),) if any(wraps) else ()
        self._words: Conditioning
        self._negative: Conditioning | None = None
        self._given: Tensor | None = None

    def prepare(self) -> Generator[Any, Any, None]:
        """Encode the words, and the pictures where they are given, once for all that is made."""
        params = self._params
        asked = [EncodeText(self.model, (params.prompt,))]
        if any(leg.guidance != 1 for leg in self._legs.values()):
            asked.append(EncodeText(self.model, (params.negative,), negative=True))
        asked += [EncodeText(self.model, (words,)) for words in (params.from_text, params.to_text) if words is not None]
        (self._words,), *others = yield All(*asked)
        if asked[1:] and asked[1].negative:
            (self._negative,) = others.pop(0)
        if params.like is None:
            return
        pictures = [blob for blob in (params.like, params.toward) if blob is not None]
        planes = yield All(*(Host(images.to_planes, (self._ctx.blob(blob.sha256), params.width, params.height)) for blob in pictures))
        seen = [found.flatten(1) for found in (yield All(*(EncodeImage(self.model, each) for each in planes)))]
        share = 0.0 if params.strength is None else params.strength
        if params.toward is not None:
            self._given = slerp(seen[0], seen[1], share)
        elif others:
            before, after = (cond.pooled.to(seen[0]) for (cond,) in others)
            self._given = along(seen[0], before, after, share)
        else:
            self._given = seen[0]

    def embedding(self, index: int) -> Generator[Any, Any, Tensor]:
        """(1, D): the one that pictures gave, else one that the prior imagines of the words."""
        if self._given is not None:
            return self._given
        x = yield from self._sampled("prior", index, self._words, self._negative)
        found: Tensor = yield Apply(self.model, "embedding", {"x": x})
        return found

    def small(self, index: int, embedding: Tensor) -> Generator[Any, Any, Tensor]:
        """What the decoder makes of an embedding, in -1..1."""
        unheard = None if self._negative is None else _told(self._negative, embedding, heard=False)
        return (yield from self._sampled("decoder", index, _told(self._words, embedding, heard=True), unheard))

    def large(self, index: int, small: Tensor) -> Generator[Any, Any, Tensor]:
        """The same at its full size."""
        if "upsampler" not in self._legs:
            return small
        cond = Conditioning(torch.zeros(1, 1, 1), None, {"small": small.clamp(-1, 1)})
        return (yield from self._sampled("upsampler", index, cond, None))

    def picture(self, index: int) -> Generator[Any, Any, Output]:
        """One picture, part after part."""
        params = self._params
        embedding = yield from self.embedding(index)
        made = yield from self.large(index, (yield from self.small(index, embedding)))
        image = yield Decode(self.model, made)
        pixels = images.to_samples(image, params.bits)
        seam = {} if params.tile == "none" else {"seam": (yield Host(seams, (pixels, params.tile)))}
        return Output(
            pixels=pixels,
            role="image",
            index=index,
            seed=self._seed(index),
            params=alone(params, self._seed(index)),
            model=self.model.name,
            info={"labels": {"sampler": self._sampler.title, "schedule": self._schedule.title}, "measured": seam},
        )

    def _seed(self, index: int) -> int:
        assert self._params.seed is not None
        return self._params.seed + index

    def _sampled(self, name: str, index: int, cond: Conditioning, uncond: Conditioning | None) -> Generator[Any, Any, Tensor]:
        """One part from noise of its own to its end."""
        leg = self._legs[name]
        parametrisation = leg.part.parametrisation
        seed = seed_of(self._seed(index), name)
        x = pure_noise(initial_noise(leg.shape, seed), leg.sigmas[0], parametrisation)
        denoiser = self._reporting(within(self._denoiser(leg, cond, uncond), leg.part), leg, index)
        sampler = called(self._sampler, x, leg.sigmas, Noise.like(x, seed), parametrisation)
        made: Tensor = yield from drive(sampler, denoiser)
        return made

    def _denoiser(self, leg: Leg, cond: Conditioning, uncond: Conditioning | None) -> Denoiser:
        if leg.guidance == 1 or uncond is None:
            return plain(self.model, cond, self._patches)
        guide = Guide(self._scale.name, self._scale.function, dict(self._scale.options(scale=leg.guidance)))
        prompted = Prompted(self.model, cond, uncond, self._patches, self._params.prompt)
        return guided((guide,), prompted, leg.part.parametrisation, leg.sigmas)

    def _reporting(self, denoiser: Denoiser, leg: Leg, index: int) -> Denoiser:
        """Progress over all parts; previews of those that make pictures."""
        step = leg.done

        def told(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
            nonlocal step
            reply = yield from denoiser(x, sigma)
            step += 1
            progress = Progress(index, step, self._total, sigma, min(1.0, step / self._total))
            yield Emit(progress) if leg.name == "prior" else Emit(progress, Preview(index, self.model, reply.denoised))
            return reply

        return told


def within(denoiser: Denoiser, part: Part) -> Denoiser:
    """The answers of a part as a sampler takes them: x0 within its bounds, and its second half of channels as the spread."""

    def kept(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        channels = x.shape[1]
        reply = yield from denoiser(torch.cat([x, torch.zeros_like(x)], 1) if part.spread else x, sigma)
        found = [each[:, :channels] for each in (reply.denoised, reply.uncond)]
        if part.clip is not None:
            found = [each.clamp(-part.clip, part.clip) for each in found]
        spread = reply.predictions[0][:, channels:] if part.spread else None
        return Denoised(found[0], found[1], (), spread)

    return kept


def _told(words: Conditioning, embedding: Tensor, *, heard: bool) -> Conditioning:
    extras = {**words.extras, "embedding": embedding, "heard": torch.tensor([[1.0 if heard else 0.0]])}
    return Conditioning(words.tokens, words.pooled, extras)
