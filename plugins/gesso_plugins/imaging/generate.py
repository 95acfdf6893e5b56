"""The operation `generate`: dispatches on what the model can do, never on what it is called."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch

from gesso.engine import (
    All,
    Apply,
    Decode,
    Denoiser,
    Emit,
    EncodeImage,
    EncodeText,
    Host,
    Kept,
    Leading,
    Load,
    ModelRef,
    Prompted,
    Regions,
    Run,
    Steer,
    Warn,
    guided,
    in_windows,
    led,
    masked,
    plain,
    recorded,
    regional,
    reporting,
    steered,
    windowed,
)
from gesso.math import Noise, Space, initial_noise
from gesso.media import Output, Rendered, images
from gesso.media.seam import seams
from gesso.model import Conditioning, ModelCard, Patch, Seamless, Shown
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso.plugin.choosing import alone, candidates, choose, survivors
from gesso_plugins.imaging.adapting import looked_through, patches, short_hashes, steers
from gesso_plugins.imaging.cascade import unfold_all
from gesso_plugins.imaging.drawing import draw_all
from gesso_plugins.imaging.guiding import guides
from gesso_plugins.imaging.large import levels_of, windows_of, wrapping
from gesso_plugins.imaging.masking import Mask, nothing_kept, read_mask, read_region, shares
from gesso_plugins.imaging.painting import paint_all
from gesso_plugins.imaging.params import GenerateParams
from gesso_plugins.imaging.pruning import Candidate, Judging, countable, drafted, pruned
from gesso_plugins.imaging.resolve import resolve_generate
from gesso_plugins.imaging.running import beside, called, evaluations, noise_levels, pure_noise
from gesso_plugins.imaging.tokens import continue_all


class Generate:
    """Makes pictures from a prompt, or from a prompt and a picture. Any model that denoises, paints, draws or renders will do, or draws
    tokens.
    """

    name: ClassVar[str] = "generate"
    title: ClassVar[str] = "Generate"
    Params: ClassVar[type[OperationParams]] = GenerateParams

    def resolve(self, ctx: ResolveContext, params: GenerateParams) -> GenerateParams:
        """Fill the model's defaults and check across fields."""
        return resolve_generate(ctx, params)

    def run(self, ctx: JobContext, params: GenerateParams) -> Generator[Any, Any, list[Output]]:
        """All pictures at once, one generator each."""
        card = ctx.model(params.model)
        if "denoise" in card.capabilities:
            made = yield from _sample_all(ctx, card, params)
        elif "paint" in card.capabilities:
            made = yield from paint_all(ctx, card, params)
        elif "next_tokens" in card.capabilities:
            made = yield from continue_all(ctx, card, params)
        elif "draw" in card.capabilities:
            made = yield from draw_all(card, params)
        elif "cascade" in card.capabilities:
            made = yield from unfold_all(ctx, card, params)
        else:
            made = yield from _render_all(card, params)
        return (yield from choose(ctx, params, made))


def _sample_all(ctx: JobContext, card: ModelCard, params: GenerateParams) -> Generator[Any, Any, list[Output]]:
    assert params.steps is not None
    assert params.schedule is not None
    assert params.sampler is not None
    schedule = ctx.schedule(params.schedule)
    levels = yield from beside(schedule.remote, noise_levels, schedule, levels_of(card, params), params.steps)
    task: Sampling = yield from beside(ctx.sampler(params.sampler).remote, Sampling, ctx, card, params, started(levels, params.strength))
    yield Load(task.model)
    yield from task.prepare()
    if (params.prune or params.draft) and len(levels) > 1:
        draft = None
        if params.draft:
            few = yield from beside(schedule.remote, noise_levels, schedule, levels_of(card, params), params.draft)
            draft = task.drafting(started(few, params.strength))
        return (yield from task.survivors(draft))
    if params.align and len(levels) > 1:
        return (yield from task.aligned())
    return list((yield All(*(task.picture(i) for i in range(candidates(params))))))


class Sampling:
    """What the pictures of one job share: the conditionings, the noise levels, the patches, the picture to start from."""

    def __init__(self, ctx: JobContext, card: ModelCard, params: GenerateParams, sigmas: list[float]) -> None:
        assert params.sampler is not None
        assert params.schedule is not None
        assert params.guidance is not None
        assert card.latent is not None
        self._ctx, self._card, self._params = ctx, card, params
        self.model = ModelRef(card.name, card.digest)
        self._parametrisation = levels_of(card, params)
        self._shape = (1, *card.latent.shape(params.width or 0, params.height or 0))
        self._factor = card.latent.factor
        self._guides = guides(ctx, card, params)
        self._sampler = ctx.sampler(params.sampler)
        self._schedule = ctx.schedule(params.schedule)
        self._sigmas = sigmas
        self._adapters: tuple[Patch, ...] = patches(ctx, params)
        self._patches = self._adapters
        self._windows = windows_of(card, params)
        wraps = wrapping(params)
        if any(wraps):
            self._patches = (Seamless(*wraps), *self._adapters)
        self._conds: tuple[Conditioning, ...] = ()
        self._start: Any = None
        self._source: torch.Tensor | None = None
        self._mask: Mask | None = None
        self._steers: tuple[Steer, ...] = ()
        self._shares: torch.Tensor | None = None
        self._beside: Callable[[Denoiser], Denoiser] | None = None
        self._total = evaluations(self._sampler, sigmas, self._parametrisation) if len(sigmas) > 1 else 0
        self._done, self._later = 0, 0

    def drafting(self, sigmas: list[float]) -> Sampling:
        """The same pictures in fewer steps. They come before those of this task, whose progress goes on from theirs."""
        draft = copy.copy(self)
        draft._sigmas = sigmas
        draft._total = evaluations(self._sampler, sigmas, self._parametrisation)
        self._done, draft._later = draft._total or 0, self._total or 0
        return draft

    def prepare(self) -> Generator[Any, Any, None]:
        """Encode the words, and the picture to start from, once for all pictures."""
        params = self._params
        if params.image is not None:
            self._source = yield Host(images.to_planes, (self._ctx.blob(params.image.sha256), params.width, params.height))
        beside = self._heard_with()
        asked = [EncodeText(self.model, (params.prompt,), beside)]
        if self._guides:
            asked.append(EncodeText(self.model, (params.negative,), beside, negative=True))
        others = [] if params.align_prompt is None else [params.align_prompt]
        asked += [EncodeText(self.model, (words,), beside) for words in (*others, *params.region)]
        self._conds = tuple(cond for (cond,) in (yield All(*asked)))
        if self._card.embeds_guidance:
            scale = torch.tensor([params.guidance], dtype=torch.float32)
            self._conds = tuple(replace(cond, extras={**cond.extras, "guidance": scale}) for cond in self._conds)
        if self._source is not None:
            self._start = yield from self._encoded(self._source)
            if params.mask is not None:
                self._mask = yield Host(read_mask, (self._ctx.blob(params.mask.sha256), params.width, params.height))
            if "instruct" in self._card.capabilities:
                self._conds = tuple(replace(cond, extras={**cond.extras, "reference": self._start}) for cond in self._conds)
        if params.region:
            blobs = [self._ctx.blob(blob.sha256) for blob in params.region.values()]
            masks = yield All(*(Host(read_region, (blob, params.width, params.height)) for blob in blobs))
            self._shares = shares(masks, *self._shape[-2:])
        self._steers = yield from steers(self._ctx, params)
        if any("reference" in self._ctx.model(steer.control.model.name).capabilities for steer in self._steers):
            negative = 1 if self._guides else None  # the negative prompt's rows are shown no picture
            heard = [torch.tensor([[0.0 if i == negative else 1.0]]) for i in range(len(self._conds))]
            self._conds = tuple(replace(cond, extras={**cond.extras, "heard": said}) for cond, said in zip(self._conds, heard, strict=True))
        if self._card.extra_channels:
            yield from self._cut_out()

    def _heard_with(self) -> tuple[Patch, ...]:
        """What words are heard with: adapters, and the picture where the model can see it."""
        if self._source is None or self._params.image is None or "see_image" not in self._card.capabilities:
            return self._adapters
        return (*self._adapters, Shown(f"{self._params.image.sha256} {self._params.width} x {self._params.height}", self._source))

    def _encoded(self, picture: torch.Tensor) -> Generator[Any, Any, Any]:
        if self._windows is None:
            return (yield EncodeImage(self.model, picture, self._patches))
        windows = self._windows.autoencoding(self._factor)
        return (yield from in_windows(windows, lambda part: EncodeImage(self.model, part, self._patches), picture, -self._factor))

    def _decoded(self, latent: Any) -> Generator[Any, Any, Any]:
        if self._windows is None:
            return (yield Decode(self.model, latent, self._patches))
        windows = self._windows.autoencoding(self._factor)
        return (yield from in_windows(windows, lambda part: Decode(self.model, part, self._patches), latent, self._factor))

    def _cut_out(self) -> Generator[Any, Any, None]:
        """What an inpainting model sees beside the latent: the mask, and the picture with a hole."""
        width, height = self._params.width or 0, self._params.height or 0
        mask = self._mask or nothing_kept(width, height)
        source = torch.zeros(1, 3, height, width) if self._source is None else self._source
        seen = yield EncodeImage(self.model, mask.cut_out(source), self._patches)
        concat = torch.cat([mask.hard(*self._shape[-2:]), seen], dim=1)
        self._conds = tuple(replace(cond, extras={**cond.extras, "concat": concat}) for cond in self._conds)

    def picture(self, index: int) -> Generator[Any, Any, Output]:
        """One picture: noise, sampler, decoder."""
        return (yield from self._finished(index, (yield from self.latent(index))))

    def survivors(self, draft: Sampling | None) -> Generator[Any, Any, list[Output]]:
        """The pictures that are left of all candidates, in the order of their seeds."""
        total = countable(self._params, self._total)
        left = list(range(candidates(self._params)))
        judging = Judging(self._ctx, self._params, self.model, looked_through(self._ctx, self._params, self._patches))
        stages = survivors(len(left), self._params.keep or 1, len(self._params.prune) + (draft is not None))
        if draft is not None:
            left = yield from drafted(judging, [draft.candidate(i) for i in left], stages.pop(0))
        latents = yield from pruned(judging, total, [self.candidate(i) for i in left], stages)
        return list((yield All(*(self._finished(index, latent) for index, latent in sorted(latents.items())))))

    def aligned(self) -> Generator[Any, Any, list[Output]]:
        """All pictures, after the one that they follow, which is the first of them where its seed and its words are the first's."""
        params, prompt = self._params, self._conds[0]
        own = params.align_seed == params.seed and params.align_prompt is None
        lead, others = copy.copy(self), copy.copy(self)
        if params.align_prompt is not None:
            lead._conds = (self._conds[2 if self._guides else 1], *self._conds[1:])
        lead._params = params.model_copy(update={"seed": params.align_seed, "prompt": params.align_prompt or params.prompt})
        leading = Leading(lead._conds[0], params.align)
        lead._beside = partial(recorded, leading=leading)
        others._beside = partial(led, leading=leading, prompt=prompt)
        if not own:
            lead._later, others._done = self._total or 0, self._total or 0
        latent = yield from lead.latent(0)
        first = self._finished(0, latent) if own else others.picture(0)
        return list((yield All(first, *(others.picture(i) for i in range(1, candidates(params))))))

    def _finished(self, index: int, latent: Any) -> Generator[Any, Any, Output]:
        seed = self._seed(index)
        image = yield from self._decoded(latent)
        if self._mask is not None and self._source is not None and self._params.paste:
            image = self._mask.kept(image.detach().to("cpu", torch.float32), self._source)
        pixels = images.to_samples(image, self._params.bits)
        seam = {} if self._params.tile == "none" else {"seam": (yield Host(seams, (pixels, self._params.tile)))}
        return Output(
            pixels=pixels,
            role="image",
            index=index,
            seed=seed,
            params=alone(self._params, seed),
            model=self._card.name,
            info={
                "labels": {"sampler": self._sampler.title, "schedule": self._schedule.title},
                "hashes": short_hashes(self._ctx, self._params.lora),
                "measured": seam,
            },
        )

    def _seed(self, index: int) -> int:
        assert self._params.seed is not None
        return self._params.seed + index

    def latent(self, index: int) -> Generator[Any, Any, Any]:
        """The sampled latent of one picture; with no step to take, the one it starts from."""
        if len(self._sigmas) == 1:
            return self._start
        return (yield from self.candidate(index).advance(None))

    def candidate(self, index: int) -> Candidate:
        """One picture before its first step."""
        seed = self._seed(index)
        params, sigmas, parametrisation = self._params, self._sigmas, self._parametrisation
        unit = initial_noise(self._shape, seed)
        x = pure_noise(unit, sigmas[0], parametrisation)
        from_nothing = params.strength is None or (self._mask is not None and params.strength == 1)
        if self._start is not None and not from_nothing:
            x = Space.of(parametrisation).mix(self._start, unit, sigmas[0])
        if self._guides:
            prompted = Prompted(self.model, self._conds[0], self._conds[1], self._patches, params.prompt)
            denoiser = guided(self._guides, prompted, parametrisation, sigmas)
        else:
            denoiser = plain(self.model, self._conds[0], self._patches)
        if self._shares is not None:
            denoiser = regional(denoiser, Regions(self._conds[0], self._conds[-len(params.region) :], self._shares))
        if self._steers:
            denoiser = steered(denoiser, self._steers, sigmas)
        if self._beside is not None:
            denoiser = self._beside(denoiser)
        if self._mask is not None and not self._card.extra_channels:
            kept = Kept(self._mask.latent(*self._shape[-2:]), self._start, unit, sigmas)
            denoiser = masked(denoiser, kept, parametrisation)
        if self._windows is not None:
            denoiser = windowed(denoiser, self._windows)
        total = self._total and self._done + self._total + self._later
        denoiser = reporting(denoiser, image=index, model=self.model, sigmas=sigmas, total=total, done=self._done)
        sampler = called(self._sampler, x, sigmas, Noise.like(x, seed), parametrisation)
        return Candidate(index, Run(sampler, name=self._sampler.name), denoiser, self._done)


def started(sigmas: list[float], strength: float | None) -> list[float]:
    """The noise levels that are left where a picture is redone by ``strength``: the last ``int(steps * strength)`` steps, at least one
    unless the strength is 0. One level alone means that nothing is sampled.
    """
    if strength is None:
        return sigmas
    steps = len(sigmas) - 1
    kept = min(int(steps * strength), steps)
    if strength > 0:
        kept = max(kept, 1)
    return sigmas[steps - kept :]


def _render_all(card: ModelCard, params: GenerateParams) -> Generator[Any, Any, list[Output]]:
    model = ModelRef(card.name, card.digest)
    yield Load(model)
    return list((yield All(*(_render(model, card, params, i) for i in range(candidates(params))))))


def _render(model: ModelRef, card: ModelCard, params: GenerateParams, index: int) -> Generator[Any, Any, Output]:
    assert params.seed is not None
    seed = params.seed + index
    inputs = {"prompt": params.prompt, "width": params.width, "height": params.height, "seed": seed, "tile": params.tile}
    rendered: Rendered = yield Apply(model, "render", inputs)
    for warning in rendered.warnings if index == 0 else ():
        yield Emit(Warn(warning))
    return Output(pixels=rendered.pixels, role="image", index=index, seed=seed, params=alone(params, seed), model=card.name)
