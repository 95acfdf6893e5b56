"""Stage 4: the recogniser, a small network that names material and colour of noisy latents and tells the denoiser what its guesses show.

The velocity error hardly hears of structure: between sigma 1 and 8, where it forms, a caption changes the error by a hundredth. A
classifier of latents sees it plainly. So the denoiser's guess at the clean tile is noised again and shown to one (an auxiliary classifier,
Odena et al. 2017; the noise between keeps faint patterns that would deceive it from counting, as in Sauer et al. 2024, latent adversarial
diffusion distillation). It shares nothing with the judge of the evaluation: it sees latents, not pixels, and renders of other seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from gesso.model.seamless import make_seamless
from gesso.training.files import write_atomically
from gesso.training.muon import build_optimiser, set_rate
from gesso.training.rate import rate
from gesso_plugins.starter.config import RecogniserConfig
from gesso_plugins.starter.latents import LatentSet
from gesso_plugins.starter.schedule import NoiseSchedule

GROUPS = 8
SMOOTHING = 0.03
KINDS = ("material", "colour")
"""What is recognised, as the labels of renders name it."""
Labels = Sequence[Mapping[str, str]]


class Recogniser(nn.Module):
    """Stages of two convolutions, each half as fine as the one before; mean and spread of the last two say the material, those of the first
    and of the latents themselves help to say the colour.

    names: the classes of each kind.
    """

    def __init__(self, channels: int, widths: Sequence[int], names: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.names = {kind: tuple(names[kind]) for kind in KINDS}
        self.enter = nn.Conv2d(channels + 1, widths[0], 3, padding=1)
        befores = (widths[0], *widths[:-1])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2 if i else 1, 1) for i, (a, b) in enumerate(zip(befores, widths, strict=True)))
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths)
        self.norms = nn.ModuleList(nn.GroupNorm(GROUPS, width) for width in (*widths, *widths))
        last = 2 * (widths[-1] + widths[-2])
        self.material = nn.Linear(last, len(self.names["material"]))
        self.tint = nn.Linear(last + 2 * widths[0] + 2 * channels, widths[-1])
        self.colour = nn.Linear(widths[-1], len(self.names["colour"]))

    def forward(self, noisy: torch.Tensor, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (N, classes) of material and colour for latents (N, C, h, w) of the variance-preserving process at the levels
        ln(sigma / alpha) (N,).
        """
        told = (level / 4)[:, None, None, None].expand(-1, 1, *noisy.shape[2:])
        x, pooled, count = functional.silu(self.enter(torch.cat([noisy, told], 1))), [_pool(noisy)], len(self.down)
        for i, (down, mix) in enumerate(zip(self.down, self.mix, strict=True)):
            x = functional.silu(self.norms[i](down(x)))
            x = x + functional.silu(self.norms[count + i](mix(x)))
            pooled.append(_pool(x))
        last = torch.cat(pooled[-2:], 1)
        tint = functional.silu(self.tint(torch.cat([last, pooled[1], pooled[0]], 1)))
        return self.material(last), self.colour(tint)

    def loss(self, noisy: torch.Tensor, level: torch.Tensor, labels: Labels) -> torch.Tensor:
        """Cross-entropies (N,) of both kinds together; what it has no class for counts nothing."""
        terms = [
            functional.cross_entropy(logits, self._numbers(kind, labels), reduction="none", label_smoothing=SMOOTHING)
            for kind, logits in zip(KINDS, self(noisy, level), strict=True)
        ]
        return torch.stack(terms).sum(0)

    def _numbers(self, kind: str, labels: Labels) -> torch.Tensor:
        names = self.names[kind]
        return torch.tensor([names.index(label[kind]) if label[kind] in names else -100 for label in labels])


@dataclass(frozen=True)
class Guess:
    """What the denoiser makes of a batch: the clean latents (N, C, h, w) that its velocity means, the levels ln(sigma / alpha) (N,) that it
    saw, the labels of the captions, and which of them (N,) it was told.
    """

    clean: torch.Tensor
    level: torch.Tensor
    labels: Labels
    told: torch.Tensor


def train_recogniser(data: LatentSet, levels: NoiseSchedule, config: RecogniserConfig, seed: int, say: Callable[[str], None]) -> Recogniser:
    """Teach it whole tiles of `data`, rolled, at levels between ``config.least`` and ``config.most``."""
    torch.manual_seed(seed)
    names = {kind: sorted({label[kind] for label in data.labels}) for kind in KINDS}
    recogniser = Recogniser(data.channels, config.widths, names)
    optimiser = build_optimiser([recogniser], config.matrix_learning_rate, config.learning_rate)
    padding = make_seamless(recogniser)
    for step in range(config.steps):
        rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
        index = torch.randint(0, len(data), (config.batch,), generator=rng).tolist()
        shift = tuple(torch.randint(0, data.side, (2,), generator=rng).tolist())
        latents = data.batch(index, [shift] * len(index))[0]
        level = _between(torch.rand(len(index), generator=rng), config.least, torch.full((len(index),), math.log(config.most)))
        noisy = levels.noisy(latents, torch.randn(latents.shape, generator=rng), levels.timesteps(level))[0]
        loss = recogniser.loss(noisy, level, [data.labels[i] for i in index]).mean()
        set_rate(optimiser, rate(step, warmup=40, start_decay=config.steps // 3, steps=config.steps, final=0.02))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % 100 == 0:
            say(f"recogniser step {step}/{config.steps}: loss {float(loss.detach()):.3f}")
    padding.eject()
    return recogniser.eval().requires_grad_(False)


def recognition_loss(recogniser: Recogniser, guess: Guess, levels: NoiseSchedule, config: RecogniserConfig) -> torch.Tensor:
    """The cross-entropy of what was asked for, given the guess with noise of a lower level; over rows that were told their caption and saw
    levels at which there is something to guess.
    """
    heard = guess.told & (guess.level > math.log(config.heard[0])) & (guess.level < math.log(config.heard[1]))
    most = guess.level.clamp(math.log(config.again[0]), math.log(config.again[1]))
    level = _between(torch.rand(len(most)), config.again[0], most)
    noisy = levels.noisy(guess.clean, torch.randn_like(guess.clean), levels.timesteps(level))[0]
    padding = make_seamless(recogniser)
    losses = recogniser.loss(noisy, level, guess.labels)
    padding.eject()
    return (losses * heard).sum() / heard.sum().clamp(min=1)


def save_recogniser(path: Path, recogniser: Recogniser) -> None:
    """Keep it, with the names of its classes."""
    metadata = {"names": json.dumps(recogniser.names)}
    write_atomically(path, lambda target: save_file(recogniser.state_dict(), target, metadata))


def load_recogniser(path: Path, channels: int, config: RecogniserConfig) -> Recogniser:
    """Read it."""
    with safe_open(path, framework="pt") as file:
        recogniser = Recogniser(channels, config.widths, json.loads(file.metadata()["names"]))
    recogniser.load_state_dict(load_file(path))
    return recogniser.eval().requires_grad_(False)


def _pool(x: torch.Tensor) -> torch.Tensor:
    """Mean and spread over places."""
    return torch.cat([x.mean((2, 3)), (x.var((2, 3)) + 1e-5).sqrt()], 1)


def _between(share: torch.Tensor, least: float, most: torch.Tensor) -> torch.Tensor:
    """Levels ln(sigma): that share (N,) of the way from ``least`` (a sigma) up to ``most`` (N,; logarithms)."""
    low = math.log(least)
    return low + share * (most - low)
