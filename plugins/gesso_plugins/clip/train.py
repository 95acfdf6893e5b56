"""`train_clip`: the symmetric contrastive loss with a learned temperature (Radford et al. 2021), on procedural renders.

A run lives in one folder and resumes exactly; what it exports is the running average in half precision.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import CLIPTokenizer

from gesso.plugin.datasets import CaptionedSource
from gesso.training.beside import grow_renders, start_beside
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
from gesso.training.renders import RenderStore, Request, Universe, draw
from gesso.training.tokenizer import train_tokenizer
from gesso_plugins.clip.batches import Pool, draw_batch
from gesso_plugins.clip.config import ClipConfig
from gesso_plugins.clip.evaluate import retrieval
from gesso_plugins.clip.networks import Clip, build_network, export


def contrastive_loss(images: torch.Tensor, texts: torch.Tensor, ids: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Symmetric cross-entropy over a batch of unit vectors (N, D); rows with the same words are all right answers for one another."""
    logits = scale * images @ texts.T
    same = (ids[:, None] == ids[None, :]).all(-1).float()
    wanted = same / same.sum(1, keepdim=True)
    return (functional.cross_entropy(logits, wanted) + functional.cross_entropy(logits.T, wanted)) / 2


class Training:
    """One run: its folder, its renders, its network and where it stands."""

    def __init__(self, source: CaptionedSource, config: ClipConfig) -> None:
        self.source = source
        self.config = config
        self.journal = Journal(config.out)
        self.store = RenderStore(config.out / "renders", 1000 + config.seed, config.data.shard)
        self.clock = Clock(config.minutes)
        self.step = 0
        self.validation = float("nan")

    def prepare(self) -> None:
        """Vocabulary, first renders, network; then where the run stood."""
        config = self.config
        tokenizer = self._tokenizer()
        self.journal.say(f"drawing the first {config.data.minimum} renders")
        self.store.ensure(self.source, self.request(Universe.TRAIN), config.data.minimum)
        self.store.ensure(self.source, self.request(Universe.VALIDATION), config.data.validation)
        self.pool = Pool(self.store, Universe.TRAIN, config.model.image, tokenizer)
        self.held_out = Pool(self.store, Universe.VALIDATION, config.model.image, tokenizer)
        self.held_out.refresh()
        torch.manual_seed(config.seed)
        self.clip = Clip(build_network(config.model, tokenizer), tokenizer)
        self.optimiser = build_optimiser([self.clip.network], config.matrix_learning_rate, config.learning_rate)
        self.average = Average(self.clip, config.ema)
        self._restore()

    def request(self, universe: Universe) -> Request:
        """Renders of every material but those held out."""
        names = getattr(self.source, "materials", ())
        return Request(universe, self.config.model.image, tuple(name for name in names if name not in self.config.data.held_out))

    def run(self) -> None:
        """Step until the steps are done, time is up or the process is asked to end."""
        saved = time.monotonic()
        while not self.clock.over and self.step < self.config.steps:
            loss = self._one_step()
            if self.step % self.config.data.refresh_every == 0:
                self.pool.refresh()
            if self.step % self.config.validate_every == 0:
                with self.average.applied():
                    self.validation = retrieval(self.clip, self.held_out, rank=1)[0]
            if self.step % self.config.log_every == 0:
                self._log(loss)
            if time.monotonic() - saved >= 60 * self.config.save_minutes:
                saved = time.monotonic()
                self.save()
        self.save()

    def save(self) -> None:
        """A checkpoint and the directory that can ship."""
        tensors = (
            prefixed("model", self.clip.named_tensors()) | prefixed("average", self.average.tensors) | optimiser_tensors(self.optimiser)
        )
        save_checkpoint(self.config.out / "checkpoint", Checkpoint(tensors, self.record() | {"shards": self.pool.shards}))
        with self.average.applied():
            export(self.config.out / "export", self.clip, self.record())

    def record(self) -> dict[str, Any]:
        """The facts that go beside the weights."""
        return {
            "step": self.step,
            "samples": self.step * self.config.batch,
            "seed": self.config.seed,
            "cpu_hours": round(self.clock.cpu_hours, 4),
            "source": self.source.name,
            "config": self.config.as_json(),
        }

    def _one_step(self) -> float:
        config = self.config
        decay = rate(
            self.step, warmup=config.warmup, start_decay=int(config.decay_start * config.steps), steps=config.steps, final=config.final_rate
        )
        set_rate(self.optimiser, decay)
        pixels, ids = draw_batch(self.pool, config.batch, config.kin, (config.seed, self.step))
        self.clip.network.train()
        scale = self.clip.network.logit_scale
        loss = contrastive_loss(self.clip.embed_images(pixels), self.clip.embed_texts(ids), ids, scale.exp())
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.clip.network.parameters(), 2.0)
        self.optimiser.step()
        with torch.no_grad():
            scale.clamp_(max=math.log(1 / config.model.sharpest))
        self.average.update(self.step)
        self.step += 1
        return float(loss.detach())

    def _log(self, loss: float) -> None:
        values = {"loss": loss, "validation": self.validation}
        samples = self.step * self.config.batch
        self.journal.record("clip", self.step, values, samples=samples, cpu_hours=self.clock.cpu_hours)
        text = f"loss {loss:.3f}, R@1 {self.validation:.3f}, {self.clock.cpu_hours:.2f} CPU hours, {len(self.pool)} renders"
        self.journal.show("clip", self.step, self.config.steps, text)

    def _tokenizer(self) -> CLIPTokenizer:
        folder = self.config.out / "tokenizer"
        if not folder.exists():
            model = self.config.model
            captions = (draw(self.source, Request(Universe.PROMPTS, 16), self.config.seed, i)[1] for i in range(model.captions))
            train_tokenizer(captions, vocabulary=model.vocabulary, length=model.length).save_pretrained(folder)
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    def _restore(self) -> None:
        checkpoint = load_checkpoint(self.config.out / "checkpoint")
        if checkpoint is None:
            self.pool.refresh()
            return
        self.clip.load_tensors(under("model", checkpoint.tensors))
        self.average.tensors = under("average", checkpoint.tensors)
        restore_optimiser(self.optimiser, checkpoint.tensors)
        self.step = checkpoint.facts["step"]
        self.clock.earlier_hours = checkpoint.facts["cpu_hours"]
        self.pool.refresh(checkpoint.facts["shards"])


def train_clip(source: CaptionedSource, config: ClipConfig) -> Path:
    """Train until the configuration's steps or time are up; the answer is the directory that can ship."""
    torch.set_num_threads(config.threads)
    training = Training(source, config)
    with ExitStack() as stack:
        stack.callback(training.journal.close)
        stack.enter_context(StopOnSignal(training.clock))
        training.prepare()
        if config.data.workers:
            request = training.request(Universe.TRAIN)
            stack.callback(start_beside(grow_renders, source, training.store, request, config.data.target).terminate)
        training.run()
    return config.out / "export"
