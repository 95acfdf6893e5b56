"""`Run`: the frame of every training, once. A folder, a clock, a model with its optimiser and average, and checkpoints that resume exactly;
`RunConfig`: what every one of them is told.

It knows nothing of data and losses: a training brings a step that learns, chores with their period, and the facts to keep.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

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
from gesso.training.ema import Average, Trained
from gesso.training.journal import Journal
from gesso.training.muon import set_rate

CLIP_NORM = 2.0


def descend(optimiser: torch.optim.Optimizer, modules: Iterable[torch.nn.Module], loss: torch.Tensor, factor: float) -> None:
    """One step down the gradient of `loss` at `factor` of the learning rates; the gradients are clipped module by module."""
    set_rate(optimiser, factor)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    for module in modules:
        torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP_NORM)
    optimiser.step()


@dataclass
class Chore:
    """Work that comes round: at every n-th step, or when so many minutes have passed."""

    work: Callable[[], object]
    steps: int | None = None
    minutes: float | None = None
    _since: float = field(default_factory=time.monotonic)

    def tick(self, step: int) -> None:
        """Do the work if it is due after `step`."""
        if self.steps is not None and step % self.steps == 0:
            self.work()
        if self.minutes is not None and time.monotonic() - self._since >= 60 * self.minutes:
            self._since = time.monotonic()
            self.work()


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run is told; a training's own numbers are a subclass. out: the folder where it lives. seed: of data and weights. threads:
    of the processor. minutes: after which it ends (None: never).
    """

    out: Path
    seed: int = 1
    threads: int = 1
    minutes: float | None = None
    log_every: int = 20
    save_minutes: float = 10.0

    def as_json(self) -> dict[str, Any]:
        """The numbers alone, for the record beside the weights."""
        values = dataclasses.asdict(self)
        values.pop("out")
        return values


class Run:
    """One training and where it stands. `stage` names it in the record."""

    def __init__(self, stage: str, config: RunConfig) -> None:
        self.stage = stage
        self.config = config
        self.folder = config.out
        self.journal = Journal(config.out)
        self.clock = Clock(config.minutes)
        self.step = 0
        self.samples = 0
        self.warm_step = 0
        self.kept: dict[str, torch.Tensor] = {}
        """A training's own tensors of the checkpoint that was resumed."""
        self._sums: dict[str, float] = {}
        self._summed = 0

    @contextmanager
    def opened(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the run with a checkpoint; the record is closed whatever happens. Torch takes the run's threads."""
        torch.set_num_threads(self.config.threads)
        try:
            with StopOnSignal(self.clock):
                yield
        finally:
            self.journal.close()

    def train(self, model: Trained, modules: Iterable[torch.nn.Module], optimiser: torch.optim.Optimizer, ema: float) -> None:
        """Say what is trained: `model` as the average and the checkpoint see it, `modules` whose gradients are clipped one by one."""
        self.model = model
        self.modules = list(modules)
        self.optimiser = optimiser
        self.average = Average(model, ema)

    def resume(self) -> dict[str, Any] | None:
        """Go on from the folder's checkpoint; its facts, or None where there is none."""
        checkpoint = load_checkpoint(self.folder / "checkpoint")
        if checkpoint is None:
            return None
        facts = checkpoint.facts
        self.model.load_tensors(under("model", checkpoint.tensors))
        self.average.tensors = under("average", checkpoint.tensors)
        self.kept = under("kept", checkpoint.tensors)
        restore_optimiser(self.optimiser, checkpoint.tensors)
        self.step, self.samples, self.warm_step = facts["step"], facts["samples"], facts.get("warm_step", 0)
        self.clock.earlier_hours = facts["cpu_hours"]
        return facts

    def warm_start(self, facts: dict[str, Any]) -> None:
        """Count on from the record of weights that a new run starts from; warm-up and average begin anew."""
        self.step = self.warm_step = int(facts.get("step", 0))
        self.samples = int(facts.get("samples", 0))
        self.clock.earlier_hours = float(facts.get("cpu_hours", 0.0))

    def save(self, facts: dict[str, Any], kept: Mapping[str, torch.Tensor] | None = None) -> None:
        """Write the checkpoint: `facts` and the tensors `kept` are what the training itself must remember, `record` among them."""
        tensors = prefixed("model", self.model.named_tensors()) | prefixed("average", self.average.tensors)
        tensors |= optimiser_tensors(self.optimiser) | prefixed("kept", kept or {})
        save_checkpoint(self.folder / "checkpoint", Checkpoint(tensors, facts | {"warm_step": self.warm_step}))

    def record(self) -> dict[str, Any]:
        """The facts that go beside weights: how far they were trained, and with which numbers."""
        done = {"step": self.step, "samples": self.samples, "cpu_hours": round(self.clock.cpu_hours, 4)}
        return done | {"seed": self.config.seed, "config": self.config.as_json()}

    def learn(self, loss: torch.Tensor, factor: float, samples: int) -> None:
        """One step down the gradient of `loss` at `factor` of the learning rates, from so many samples."""
        descend(self.optimiser, self.modules, loss, factor)
        self.average.update(self.step - self.warm_step)
        self.step += 1
        self.samples += samples

    def loop(self, one_step: Callable[[], dict[str, float]], chores: Iterable[Chore], until: int | None) -> None:
        """Step until `until`, the end of time or a signal. What steps answer is averaged for `log`."""
        chores = list(chores)
        while not self.clock.over and (until is None or self.step < until):
            for name, value in one_step().items():
                self._sums[name] = self._sums.get(name, 0.0) + value
            self._summed += 1
            for chore in chores:
                chore.tick(self.step)

    def log(self, until: int | None, text: str, **more: float) -> None:
        """Keep and show the mean of what the steps since the last time answered, and `more`; `text` is for people alone."""
        values = {name: value / max(1, self._summed) for name, value in self._sums.items()} | more
        self._sums, self._summed = {}, 0
        hours = self.clock.cpu_hours
        self.journal.record(self.stage, self.step, values, samples=self.samples, cpu_hours=hours)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        self.journal.show(self.stage, self.step, until, f"{shown}, {self.samples} samples, {hours:.2f} CPU hours, {text}")
