"""`train_maps`: pictures in, known maps out, until the steps are done. A run lives in one folder and resumes exactly."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gesso.model.seamless import make_seamless
from gesso.plugin.datasets import MappedSource
from gesso.training.beside import start_beside
from gesso.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimiser_tensors,
    prefixed,
    restore_optimiser,
    save_checkpoint,
    under,
)
from gesso.training.clock import Clock, StopOnSignal
from gesso.training.ema import Average
from gesso.training.journal import Journal
from gesso.training.muon import build_optimiser, set_rate
from gesso.training.rate import rate
from gesso.training.renders import Universe
from gesso_plugins.texture.maps.config import MapsConfig
from gesso_plugins.texture.maps.data import MapsPool, MapsRequest, MapsStore, Truth, grow_maps
from gesso_plugins.texture.maps.losses import maps_loss
from gesso_plugins.texture.maps.network import MapsNetwork, save_network

WEIGHTS = "maps.safetensors"


@dataclass
class Trained:
    """The network as the average and the checkpoint see it."""

    network: MapsNetwork

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every trained tensor."""
        return {name: value.detach() for name, value in self.network.named_parameters()}

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Copy tensors named as `named_tensors` names them."""
        with torch.no_grad():
            for name, value in self.named_tensors().items():
                value.copy_(tensors[name])


class Training:
    """One run: its folder, its renders, its network and where it stands."""

    def __init__(self, source: MappedSource, config: MapsConfig) -> None:
        self.source = source
        self.config = config
        self.journal = Journal(config.out)
        self.clock = Clock(config.minutes)
        self.step = 0
        names = getattr(source, "materials", ())
        materials = tuple(name for name in names if name not in config.data.held_out)
        self.request = MapsRequest(Universe.TRAIN, config.data.size, materials)
        self.store = MapsStore(config.out / "renders", config.seed, config.data.shard)
        self.pool = MapsPool(self.store, self.request)

    def prepare(self) -> None:
        """First renders, network; then where the run stood."""
        config = self.config
        self.journal.say(f"drawing the first {config.data.minimum} renders with their maps")
        self.store.ensure(self.source, self.request, config.data.minimum)
        torch.manual_seed(config.seed)
        self.trained = Trained(MapsNetwork(config.network.channels, config.network.groups))
        self.optimiser = build_optimiser([self.trained.network], config.matrix_learning_rate, config.learning_rate)
        self.average = Average(self.trained, config.ema)
        checkpoint = load_checkpoint(config.out / "checkpoint")
        if checkpoint is not None:
            self.trained.load_tensors(under("model", checkpoint.tensors))
            self.average.tensors = under("average", checkpoint.tensors)
            restore_optimiser(self.optimiser, checkpoint.tensors)
            self.step = checkpoint.facts["step"]
            self.clock.earlier_hours = checkpoint.facts["cpu_hours"]
        self.pool.refresh(None if checkpoint is None else checkpoint.facts["shards"])

    def run(self) -> None:
        """Step until the steps are done, time is up or the process is asked to end."""
        saved = time.monotonic()
        while not self.clock.over and self.step < self.config.steps:
            terms = self._one_step()
            if self.step % self.config.data.refresh_every == 0:
                self.pool.refresh()
            if self.step % self.config.log_every == 0:
                self._log(terms)
            if time.monotonic() - saved >= 60 * self.config.save_minutes:
                saved = time.monotonic()
                self.save()
        self.save()

    def save(self) -> None:
        """A checkpoint and the file that can ship."""
        tensors = (
            prefixed("model", self.trained.named_tensors()) | prefixed("average", self.average.tensors) | optimiser_tensors(self.optimiser)
        )
        save_checkpoint(self.config.out / "checkpoint", Checkpoint(tensors, self.record() | {"shards": self.pool.shards}))
        with self.average.applied():
            save_network(self.config.out / WEIGHTS, self.trained.network, self.record())

    def record(self) -> dict[str, Any]:
        """The facts that go with the weights."""
        return {
            "step": self.step,
            "samples": self.step * self.config.batch,
            "seed": self.config.seed,
            "cpu_hours": round(self.clock.cpu_hours, 4),
            "config": self.config.as_json(),
        }

    def _draw(self) -> tuple[Truth, bool]:
        """Renders of this step, rolled, in another brightness and contrast; and whether they are seen to wrap."""
        config = self.config
        rng = np.random.default_rng([config.seed, 71, self.step])
        index = rng.integers(0, len(self.pool), config.batch).tolist()
        truth = self.pool.truth(index, [(int(a), int(b)) for a, b in rng.integers(0, config.data.size, (config.batch, 2))])
        shape = (config.batch, 1, 1, 1)
        contrast, brightness = (torch.from_numpy(rng.uniform(low, high, shape)).float() for low, high in ((0.8, 1.2), (-0.1, 0.1)))
        pictures = (truth.pictures * contrast + brightness).clamp(-1, 1)
        return Truth(pictures, truth.height, truth.roughness, truth.metallic), bool(rng.random() >= config.zero_padding_share)

    def _one_step(self) -> dict[str, float]:
        config = self.config
        start = int(config.decay_start * config.steps)
        set_rate(self.optimiser, rate(self.step, warmup=config.warmup, start_decay=start, steps=config.steps, final=config.final_rate))
        truth, wrap = self._draw()
        network = self.trained.network.train()
        padding = make_seamless(network, wrap, wrap)
        terms = maps_loss(network(truth.pictures), truth, config.loss)
        loss = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        padding.eject()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        self.optimiser.step()
        self.average.update(self.step)
        self.step += 1
        return {name: float(term.detach()) for name, term in terms.items()} | {"loss": float(loss.detach())}

    def _log(self, terms: dict[str, float]) -> None:
        self.journal.record("maps", self.step, terms, samples=self.step * self.config.batch, cpu_hours=self.clock.cpu_hours)
        text = ", ".join(f"{name} {value:.3f}" for name, value in terms.items())
        self.journal.show("maps", self.step, self.config.steps, f"{text}, {len(self.pool)} renders")


def train_maps(source: MappedSource, config: MapsConfig) -> Path:
    """Train until the configuration's steps or time are up; the answer is the file of the network."""
    torch.set_num_threads(config.threads)
    training = Training(source, config)
    with ExitStack() as stack:
        stack.callback(training.journal.close)
        stack.enter_context(StopOnSignal(training.clock))
        training.prepare()
        if config.data.workers:
            arguments = (source, training.store, training.request, config.data.target)
            stack.callback(start_beside(grow_maps, *arguments).terminate)
        training.run()
    return config.out / WEIGHTS
