"""`train_style`: first features, then pictures of one content in another style. A run lives in one folder and resumes exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gesso.plugin.datasets import CaptionedSource
from gesso.training import ema
from gesso.training.ema import Average
from gesso.training.muon import build_optimiser
from gesso.training.rate import rate
from gesso.training.renders import Universe
from gesso.training.run import Chore, Run
from gesso.training.sheet import save_sheet
from gesso_plugins.style.learning.config import StyleConfig
from gesso_plugins.style.learning.data import PaintingStore, cut
from gesso_plugins.style.learning.losses import MediumHead, feature_terms, same_terms, style_terms
from gesso_plugins.style.learning.paintings import MEDIA
from gesso_plugins.style.network import StyleNetwork, exchanged, noise_length, save_network, statistics, to_planes

WEIGHTS = "style.safetensors"


@dataclass
class Trained(ema.Trained):
    """The network and its teacher of media, as the average and the checkpoint see them."""

    network: StyleNetwork
    head: MediumHead

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor, the features' units included."""
        states = {"network": self.network.state_dict(), "head": self.head.state_dict()}
        return {f"{part}.{name}": value for part, state in states.items() for name, value in state.items()}


class Training:
    """One run: its pictures, its network, and what one step learns."""

    def __init__(self, source: CaptionedSource, config: StyleConfig) -> None:
        self.source = source
        self.config = config
        self.run = Run("style", config)

    def prepare(self) -> None:
        """Pictures, network; then where the run stood."""
        config = self.config
        store = PaintingStore(config.out / "pictures", config.seed, config.data)
        self.pictures = store.ensure(self.source, Universe.TRAIN, config.data.count, self.run.journal.say)
        self.unseen = store.ensure(self.source, Universe.VALIDATION, config.data.shard, self.run.journal.say)
        torch.manual_seed(config.seed)
        network = StyleNetwork()
        self.trained = Trained(network, MediumHead(network.channels, len(MEDIA)))
        modules = [network, self.trained.head]
        self.run.train(self.trained, modules, build_optimiser(modules, config.matrix_learning_rate, config.learning_rate), config.ema)
        self.run.resume()

    def loop(self) -> None:
        """Step until the steps are done, time is up or the process is asked to end."""
        config = self.config
        chores = (
            Chore(lambda: self.run.log(config.steps, "features" if self._learning_features else "styles"), steps=config.log_every),
            Chore(self.save_sheet, steps=config.sheet_every),
            Chore(self.save, minutes=config.save_minutes),
        )
        self.run.loop(self._one_step, chores, config.steps)
        self.save()

    def save(self) -> None:
        """A checkpoint and the file that can ship."""
        self.run.save(self.record())
        with self.run.average.applied():
            save_network(self.config.out / WEIGHTS, self.trained.network, self.record())

    def record(self) -> dict[str, Any]:
        """The facts that go with the weights."""
        return self.run.record() | {"source": self.source.name}

    @torch.no_grad()
    def save_sheet(self) -> None:
        """Unseen scenes in unseen styles: content, style, result."""
        rng = np.random.default_rng([self.config.seed, 5])
        count = min(8, len(self.unseen.media) // 2)
        content, style = (
            cut(pictures, np.arange(first, first + count), self.config.data.size, rng)
            for pictures, first in ((self.unseen.scenes, 0), (self.unseen.paintings, count))
        )
        with self.run.average.applied():
            network = self.trained.network
            shapes, look = network.encoder(content), network.encoder(style)
            deep, deepest = (exchanged(shapes[n], statistics(shapes[n]), statistics(look[n])) for n in (2, 3))
            made = network.decoder(deepest, deep, to_planes(self._noise(content, 0), *content.shape[2:]))
        rows = torch.stack([content, style, made], 1).flatten(0, 1).clamp(-1, 1).add(1).mul(127.5).round()
        titles = [title for _ in range(count) for title in ("content", "style", "result")]
        path = self.config.out / "sheets" / f"{self.run.step:05d}.webp"
        save_sheet(path, rows.byte().permute(0, 2, 3, 1).numpy(), titles, 6)

    @property
    def _learning_features(self) -> bool:
        return self.run.step < self.config.feature_steps

    def _settle_features(self) -> None:
        """The encoder has learned: from here on the average is what it is, in units of its own spread, and only the decoder learns."""
        self.trained.load_tensors(self.run.average.tensors)
        rng = np.random.default_rng([self.config.seed, 6])
        pictures = np.concatenate([self.pictures.paintings[:96], self.pictures.scenes[:32]])
        self.trained.network.encoder.measure_spread(cut(pictures, np.arange(len(pictures)), self.config.data.crop, rng))
        self.run.average = Average(self.trained, self.config.ema)
        self.run.warm_step = self.run.step

    def _one_step(self) -> dict[str, float]:
        config, step = self.config, self.run.step
        if step == config.feature_steps:
            self._settle_features()
        features = self._learning_features
        begun, steps = (0, config.feature_steps) if features else (config.feature_steps, config.steps - config.feature_steps)
        decay = int(config.decay_start * steps)
        factor = rate(step - begun, warmup=config.warmup, start_decay=decay, steps=steps, final=config.final_rate)
        self.trained.network.encoder.requires_grad_(features)
        self.trained.head.requires_grad_(features)
        terms = self._features() if features else self._styles()
        loss = torch.stack(list(terms.values())).sum()
        self.run.learn(loss, factor, config.batch)
        return {"loss": float(loss.detach())} | {name: float(term.detach()) for name, term in terms.items()}

    def _features(self) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.config.seed, 71, self.run.step])
        few = self.config.batch // 4
        index = rng.integers(0, len(self.pictures.media), self.config.batch + few)
        parts = [cut(self.pictures.paintings, index[few:], self.config.data.crop, rng)]
        parts.append(cut(self.pictures.scenes, index[:few], self.config.data.crop, rng))
        media = torch.from_numpy(np.concatenate([self.pictures.media[index[few:]], np.full(few, -1)]))
        return feature_terms(self.trained.network, self.trained.head, torch.cat(parts), media, self.config.loss)

    def _styles(self) -> dict[str, torch.Tensor]:
        config = self.config
        rng = np.random.default_rng([config.seed, 72, self.run.step])
        scenes, paintings = rng.integers(0, len(self.pictures.media), (2, config.batch))
        if rng.random() < config.same_share:
            both = np.concatenate([scenes[: config.batch // 2], paintings[: config.batch // 2]])
            pictures = cut(self.pictures.scenes if rng.random() < 0.5 else self.pictures.paintings, both, config.data.crop, rng)
            return same_terms(self.trained.network, pictures, self._noise(pictures, self.run.step), config.loss)
        content = cut(self.pictures.scenes, scenes, config.data.crop, rng)
        style = cut(self.pictures.paintings, paintings, config.data.crop, rng)
        return style_terms(self.trained.network, content, style, self._noise(content, self.run.step), config.loss)

    def _noise(self, pictures: torch.Tensor, step: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        return torch.randn((len(pictures), noise_length(*pictures.shape[2:])), generator=generator)


def train_style(source: CaptionedSource, config: StyleConfig) -> Path:
    """Train until the configuration's steps or time are up; the answer is the file of the network."""
    training = Training(source, config)
    with training.run.opened():
        training.prepare()
        training.loop()
    return config.out / WEIGHTS
