"""`train_maps`: pictures in, known maps out, until the steps are done. A run lives in one folder and resumes exactly; a network's file
warm-starts a new one.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gesso.model.seamless import make_seamless
from gesso.plugin.datasets import MappedSource
from gesso.training import ema, precision
from gesso.training.beside import start_beside
from gesso.training.muon import build_optimiser
from gesso.training.rate import rate
from gesso.training.renders import Universe
from gesso.training.run import Chore, Run
from gesso.training.variety import varied
from gesso_plugins.texture.maps.augment import augmented
from gesso_plugins.texture.maps.config import MapsConfig
from gesso_plugins.texture.maps.data import MapsPool, MapsRequest, MapsStore, Truth, grow_maps
from gesso_plugins.texture.maps.losses import maps_loss
from gesso_plugins.texture.maps.network import MapsNetwork, load_network, load_record, save_network

WEIGHTS = "maps.safetensors"


@dataclass
class Trained(ema.Trained):
    """The network as the average and the checkpoint see it."""

    network: MapsNetwork

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every trained tensor."""
        return {name: value.detach() for name, value in self.network.named_parameters()}


class Training:
    """One run: its renders, its network, and what one step learns."""

    def __init__(self, source: MappedSource, config: MapsConfig) -> None:
        self.source = varied(source, config.data.variety)
        self.config = config
        self.run = Run("maps", config)
        names = getattr(source, "materials", ())
        materials = tuple(name for name in names if name not in config.data.held_out)
        self.request = MapsRequest(Universe.TRAIN, config.data.size, materials)
        self.store = MapsStore(config.out / "renders", config.seed, config.data.shard)
        self.pool = MapsPool(self.store, self.request)

    def prepare(self, start: Path | None) -> None:
        """First renders, network, from `start` or from nothing; then where the run stood."""
        config = self.config
        self.run.journal.say(f"drawing the first {config.data.minimum} renders with their maps")
        self.store.ensure(self.source, self.request, config.data.minimum)
        torch.manual_seed(config.seed)
        self.trained = Trained(load_network(start) if start else MapsNetwork(config.network.channels, config.network.groups))
        modules = [self.trained.network]
        self.run.train(self.trained, modules, build_optimiser(modules, config.matrix_learning_rate, config.learning_rate), config.ema)
        if start:
            self.run.warm_start(load_record(start))
        facts = self.run.resume()
        self.pool.refresh(None if facts is None else facts["shards"])

    def loop(self) -> None:
        """Step until the steps are done, time is up or the process is asked to end."""
        config = self.config
        chores = (
            Chore(self.pool.refresh, steps=config.data.refresh_every),
            Chore(lambda: self.run.log(config.steps, f"{len(self.pool)} renders"), steps=config.log_every),
            Chore(self.save, minutes=config.save_minutes),
        )
        self.run.loop(self._one_step, chores, config.steps)
        self.save()

    def save(self) -> None:
        """A checkpoint and the file that can ship."""
        self.run.save(self.record() | {"shards": self.pool.shards})
        with self.run.average.applied():
            save_network(self.config.out / WEIGHTS, self.trained.network, self.record())

    def record(self) -> dict[str, Any]:
        """The facts that go with the weights."""
        return self.run.record()

    def _draw(self) -> tuple[Truth, bool]:
        """Renders of this step, rolled and otherwise photographed; and whether they are seen to wrap."""
        config = self.config
        rng = np.random.default_rng([config.seed, 71, self.run.step])
        index = rng.integers(0, len(self.pool), config.batch).tolist()
        truth = self.pool.truth(index, [(int(a), int(b)) for a, b in rng.integers(0, config.data.size, (config.batch, 2))])
        pictures = augmented(truth.pictures, rng, config.augment)
        return Truth(pictures, truth.height, truth.roughness, truth.metallic), bool(rng.random() >= config.zero_padding_share)

    def _one_step(self) -> dict[str, float]:
        config = self.config
        truth, wrap = self._draw()
        network = self.trained.network.train()
        padding = make_seamless(network, wrap, wrap)
        terms = maps_loss(precision.call(network, truth.pictures, half=config.half), truth, config.loss)
        loss = torch.stack(list(terms.values())).sum()
        taken, steps = self.run.step - self.run.warm_step, config.steps - self.run.warm_step
        factor = rate(taken, warmup=config.warmup, start_decay=int(config.decay_start * steps), steps=steps, final=config.final_rate)
        self.run.learn(loss, factor, config.batch)
        padding.eject()
        return {"loss": float(loss.detach())} | {name: float(term.detach()) for name, term in terms.items()}


def train_maps(source: MappedSource, config: MapsConfig, start: Path | None = None) -> Path:
    """Train until the configuration's steps or time are up, from the network in `start` or from nothing; the answer is the file."""
    training = Training(source, config)
    with ExitStack() as stack:
        stack.enter_context(training.run.opened())
        training.prepare(start)
        if config.data.workers:
            arguments = (training.source, training.store, training.request, config.data.target)
            stack.callback(start_beside(grow_maps, *arguments).terminate)
        training.loop()
    return config.out / WEIGHTS
