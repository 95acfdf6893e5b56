"""A tiny real model, samplers good and bad, and an engine that records what it does."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gesso.engine import (
    NEGATIVE,
    All,
    Apply,
    Decode,
    Denoised,
    Denoiser,
    EncodeText,
    Ended,
    Engine,
    Gradient,
    Guide,
    Hooks,
    Host,
    JobEvent,
    Kept,
    ModelRef,
    Moment,
    Prompted,
    ReplayLog,
    Run,
    Ticket,
    drive,
    guided,
    masked,
    reporting,
)
from gesso.model import Conditioning, ModelCard, Parametrisation, Patch, Seamless

SIGMAS = [5.0, 3.0, 1.8, 1.0, 0.5, 0.2, 0.0]
FLOATS = Parametrisation("epsilon", (0.03, 1.0, 14.6))
Job = Generator[Any, Any, Any]


class ToyModel:
    """A convolution and a linear layer, about as much as it takes for batching to change bits."""

    methods: Mapping[str, bool] = {"double": True, "score": False, "distance": False, "crash": True}

    def __init__(self, card: ModelCard, *, seed: int = 0) -> None:
        self.card = card
        self.parametrisation = FLOATS
        self.batches: list[int] = []
        self.sigmas: list[list[float]] = []
        self.patches: list[Patch] = []
        generator = torch.Generator().manual_seed(seed)
        self.conv = nn.Conv2d(4, 32, 3, padding=1)
        self.mix = nn.Linear(32, 4)
        self.words = nn.Linear(8, 32)
        for weight in itertools.chain(self.conv.parameters(), self.mix.parameters(), self.words.parameters()):
            weight.data = torch.randn(weight.shape, generator=generator) * 0.1
            weight.requires_grad_(False)

    @property
    def nbytes(self) -> int:
        return 10_000

    @contextlib.contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        self.patches.extend(patches)
        self.conv.padding_mode = "circular" if any(isinstance(patch, Seamless) for patch in patches) else "zeros"
        self.conv._reversed_padding_repeated_twice = [1, 1, 1, 1]
        yield
        self.conv.padding_mode = "zeros"

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        return 4, height // 8, width // 8

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        self.batches.append(len(x))
        self.sigmas.append(sigma.tolist())
        scaled = x / (sigma.view(-1, 1, 1, 1) ** 2 + 1).sqrt()
        hidden = torch.tanh(self.conv(scaled) + self.words(cond.tokens.mean(1))[:, :, None, None])
        x0: Tensor = self.mix(hidden.movedim(1, -1)).movedim(-1, 1)
        return x0

    def preview_matrix(self) -> Tensor:
        return torch.zeros(5, 3)

    def encode_text(self, texts: Sequence[str]) -> list[Conditioning]:
        self.batches.append(-len(texts))
        return [Conditioning(torch.full((1, 3, 8), float(len(text) % 5) - 2)) for text in texts]

    def decode(self, latents: Tensor) -> Tensor:
        return torch.sigmoid(latents[:, :3])

    def encode_image(self, images: Tensor) -> Tensor:
        return torch.cat([images, images[:, :1]], 1)

    def apply(self, method: str, inputs: Mapping[str, Any]) -> Any:
        match method:
            case "double":
                return inputs["value"] * 2
            case "score":
                return float(inputs["x"].sum())
            case "distance":
                return ((inputs["picture"] - inputs["target"]) ** 2).sum()
            case _:
                raise ValueError("the toy crashed")


CARD = ModelCard("toy", "toys", "d" * 8, "Toy", None, frozenset({"denoise", "decode", "encode_text"}))
REF = ModelRef("toy", "d" * 8)


class OneModel:
    """A residency that holds one model."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.device = torch.device("cpu")
        self.pins = 0
        self.room = 0

    @contextlib.contextmanager
    def using(self, ref: ModelRef) -> Iterator[Any]:
        self.pins += 1
        try:
            yield self.model
        finally:
            self.pins -= 1

    def card(self, ref: ModelRef) -> ModelCard:
        return CARD

    def make_room(self) -> int:
        self.room += 1
        return 0


class Inline(Executor):
    """Runs host functions when they are submitted, so that a test has one order of events."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as fault:
            done.set_exception(fault)
        return done


class Bench:
    """An engine over one toy model; ``events`` and ``marks`` are what it told, ``ahead`` how many events and batches there were before each
    forward.
    """

    def __init__(
        self, *, pool: Executor | None = None, model: Any = None, clock: Callable[[], float] | None = None, threads: Sequence[int] = ()
    ) -> None:
        self.model = model or ToyModel(CARD)
        self.models = OneModel(self.model)
        self.events: list[tuple[str, JobEvent]] = []
        self.marks: list[tuple[str, ...]] = []
        self.ahead: list[tuple[int, int]] = []
        hooks = Hooks(lambda job, event: self.events.append((job, event)), lambda ids: self.marks.append(tuple(ids)), self._ahead)
        if clock is not None:
            hooks = replace(hooks, clock=clock)
        self.engine = Engine(self.models, pool or Inline(), hooks, threads=threads)

    def _ahead(self) -> None:
        self.ahead.append((len(self.events), len(self.model.batches)))

    def start(self, job: str, generator: Job, *, log: ReplayLog | None = None, **ticket: Any) -> None:
        self.engine.start(Ticket(job=job, title="the operation 'toy'", plugin="toys", **ticket), generator, log)

    def run(self, *jobs: tuple[str, Job], **ticket: Any) -> None:
        for job, generator in jobs:
            self.start(job, generator, **ticket)
        self.engine.run()

    def end(self, job: str) -> Ended:
        (end,) = [event for name, event in self.events if name == job and isinstance(event, Ended)]
        return end

    def value(self, job: str) -> Any:
        end = self.end(job)
        assert end.state == "done", end.error
        return end.value


def pairs(sigmas: Sequence[float]) -> Iterator[tuple[float, float]]:
    return itertools.pairwise(sigmas)


def euler(x: Tensor, sigmas: Sequence[float]) -> Generator[tuple[Tensor, float], Denoised, Tensor]:
    for sigma, following in pairs(sigmas):
        denoised = (yield x, sigma).denoised
        x = x + (x - denoised) / sigma * (following - sigma)
    return x


def heun(x: Tensor, sigmas: Sequence[float]) -> Generator[tuple[Tensor, float], Denoised, Tensor]:
    """Two evaluations a step."""
    for sigma, following in pairs(sigmas):
        d = (x - (yield x, sigma).denoised) / sigma
        ahead = x + d * (following - sigma)
        if following > 0:
            d = (d + (ahead - (yield ahead, following).denoised) / following) / 2
        x = x + d * (following - sigma)
    return x


def restart(x: Tensor, sigmas: Sequence[float]) -> Generator[tuple[Tensor, float], Denoised, Tensor]:
    """A sampler that goes up again, with another sampler inside."""
    x = yield from euler(x, sigmas[:4])
    x = x + 0.1 * sigmas[1]
    return (yield from heun(x, sigmas[1:]))


def noise(seed: int, size: int = 8) -> Tensor:
    return torch.randn(1, 4, size, size, generator=torch.Generator().manual_seed(seed))


def cfg(_: Moment, scale: float) -> Generator[Any, Any, Tensor]:
    predicted = yield (NEGATIVE,) if scale != 1.0 else ()
    return predicted.x0 if scale == 1.0 else predicted[NEGATIVE] + scale * (predicted.x0 - predicted[NEGATIVE])


def led(moment: Moment, scale: float, target: int = 97) -> Generator[Any, Any, Tensor]:
    """Down the slope of the distance from a picture."""
    predicted = yield (Gradient("distance", {"target": noise(target)[:, :3]}),)
    return predicted.x0 - scale * moment.sigma**2 * predicted.gradient


LED = Guide("led", led, {"scale": 0.5}, judge=REF)


def prompted(cond: Conditioning, uncond: Conditioning, scale: float, patches: tuple[Patch, ...] = ()) -> Denoiser:
    """A denoiser under classifier-free guidance."""
    return guided([Guide("cfg", cfg, {"scale": scale})], Prompted(REF, cond, uncond, patches), FLOATS, SIGMAS)


def simple(seed: int, *, sampler: Any = euler, guidance: float = 3.0, size: int = 8, prompt: str = "a cat") -> Job:
    """One picture."""
    cond, uncond = yield EncodeText(REF, (prompt, ""))
    denoiser = reporting(prompted(cond, uncond, guidance), image=0, model=REF, sigmas=SIGMAS, total=len(SIGMAS) - 1)
    latent = yield from drive(sampler(noise(seed, size) * SIGMAS[0], SIGMAS), denoiser)
    return (yield Decode(REF, latent))


def pictures(seed: int, count: int, **options: Any) -> Job:
    """What an operation does with ``count``."""
    return list((yield All(*(simple(seed + i, **options) for i in range(count)))))


def everything(seed: int) -> Job:
    """Nested sampler, guidance, a mask, a gradient, best of four with pruning, a host function, a method, and a decoder."""
    cond, uncond = yield EncodeText(REF, ("a red cat", ""))
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1.0
    guides = [Guide("cfg", cfg, {"scale": 2.5}), LED]
    inner = guided(guides, Prompted(REF, cond, uncond, (Seamless(True, False),)), FLOATS, SIGMAS)
    denoiser = masked(inner, Kept(mask, noise(99), noise(98)), FLOATS)

    runs = [Run(restart(noise(seed + i) * SIGMAS[0], SIGMAS), name="restart") for i in range(4)]
    with contextlib.ExitStack() as open_runs:
        for run in runs:
            open_runs.enter_context(run)
        yield All(*(drive(run, denoiser, 3) for run in runs))
        scores = yield All(*(Apply(REF, "score", {"x": run.x}) for run in runs))
        best = sorted(range(4), key=lambda i: -scores[i])[:2]
        for i in set(range(4)) - set(best):
            runs[i].close()
        latents = yield All(*(drive(runs[i], denoiser) for i in best))
        total = yield Host(summed, (latents,))
        images = yield All(*(Decode(REF, latent) for latent in latents))
    return [*images, total]


def summed(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(tensors)).sum(0)


def same(left: Any, right: Any) -> bool:
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2)


def log_in(folder: Path, name: str = "job.replay", **options: Any) -> ReplayLog:
    return ReplayLog(folder / name, **options)
