"""`train_clip`: the symmetric contrastive loss with a learned temperature (Radford et al. 2021), on procedural renders.

A run lives in one folder and resumes exactly; a model directory warm-starts a new one. What it exports is the running average in half
precision.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import CLIPTokenizer

from gesso.plugin.datasets import CaptionedSource
from gesso.training.beside import grow_renders, start_beside
from gesso.training.muon import build_optimiser
from gesso.training.rate import rate
from gesso.training.renders import RenderStore, Request, Universe, draw
from gesso.training.run import Chore, Run
from gesso.training.tokenizer import train_tokenizer
from gesso_plugins.clip.batches import Pool, draw_batch
from gesso_plugins.clip.config import ClipConfig
from gesso_plugins.clip.evaluate import retrieval
from gesso_plugins.clip.networks import Clip, build_network, export, load


def contrastive_loss(images: torch.Tensor, texts: torch.Tensor, ids: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Symmetric cross-entropy over a batch of unit vectors (N, D); rows with the same words are all right answers for one another."""
    logits = scale * images @ texts.T
    same = (ids[:, None] == ids[None, :]).all(-1).float()
    wanted = same / same.sum(1, keepdim=True)
    return (functional.cross_entropy(logits, wanted) + functional.cross_entropy(logits.T, wanted)) / 2


class Training:
    """One run: its renders, its network, and what one step learns."""

    def __init__(self, source: CaptionedSource, config: ClipConfig) -> None:
        self.source = source
        self.config = config
        self.run = Run("clip", config)
        self.store = RenderStore(config.out / "renders", 1000 + config.seed, config.data.shard)
        self.validation = float("nan")

    def prepare(self, start: Path | None) -> None:
        """Vocabulary, first renders, network, from `start` or from nothing; then where the run stood."""
        config = self.config
        torch.manual_seed(config.seed)
        self.clip, facts = self._begun(start)
        tokenizer = self.clip.tokenizer
        self.run.journal.say(f"drawing the first {config.data.minimum} renders")
        self.store.ensure(self.source, self.request(Universe.TRAIN), config.data.minimum)
        self.store.ensure(self.source, self.request(Universe.VALIDATION), config.data.validation)
        self.pool = Pool(self.store, Universe.TRAIN, config.model.image, tokenizer)
        self.held_out = Pool(self.store, Universe.VALIDATION, config.model.image, tokenizer)
        self.held_out.refresh()
        modules = [self.clip.network]
        self.run.train(self.clip, modules, build_optimiser(modules, config.matrix_learning_rate, config.learning_rate), config.ema)
        self.run.warm_start(facts)
        stood = self.run.resume()
        self.pool.refresh(None if stood is None else stood["shards"])

    def request(self, universe: Universe) -> Request:
        """Renders of every material but those held out."""
        names = getattr(self.source, "materials", ())
        return Request(universe, self.config.model.image, tuple(name for name in names if name not in self.config.data.held_out))

    def loop(self) -> None:
        """Step until the steps are done, time is up or the process is asked to end."""
        config = self.config
        chores = (
            Chore(self.pool.refresh, steps=config.data.refresh_every),
            Chore(self._validate, steps=config.validate_every),
            Chore(self._log, steps=config.log_every),
            Chore(self.save, minutes=config.save_minutes),
        )
        self.run.loop(self._one_step, chores, config.steps)
        self.save()

    def save(self) -> None:
        """A checkpoint and the directory that can ship."""
        self.run.save(self.record() | {"shards": self.pool.shards})
        with self.run.average.applied():
            export(self.config.out / "export", self.clip, self.record())

    def record(self) -> dict[str, Any]:
        """The facts that go beside the weights."""
        return self.run.record() | {"source": self.source.name}

    def _one_step(self) -> dict[str, float]:
        config, step = self.config, self.run.step
        pixels, ids = draw_batch(self.pool, config.batch, config.kin, (config.seed, step), config.data.crop)
        self.clip.network.train()
        scale = self.clip.network.logit_scale
        with torch.no_grad():
            scale.clamp_(max=math.log(1 / config.model.sharpest))
        loss = contrastive_loss(self.clip.embed_images(pixels), self.clip.embed_texts(ids), ids, scale.exp())
        taken, steps = step - self.run.warm_step, config.steps - self.run.warm_step
        factor = rate(taken, warmup=config.warmup, start_decay=int(config.decay_start * steps), steps=steps, final=config.final_rate)
        self.run.learn(loss, factor, config.batch)
        return {"loss": float(loss.detach())}

    def _validate(self) -> None:
        with self.run.average.applied():
            self.validation = retrieval(self.clip, self.held_out, rank=1)[0]

    def _log(self) -> None:
        self.run.log(self.config.steps, f"{len(self.pool)} renders", validation=self.validation)

    def _begun(self, start: Path | None) -> tuple[Clip, dict[str, Any]]:
        if start is None:
            tokenizer = self._tokenizer()
            return Clip(build_network(self.config.model, tokenizer), tokenizer), {}
        clip, facts = load(start)
        clip.tokenizer.save_pretrained(self.config.out / "tokenizer")
        return clip, facts

    def _tokenizer(self) -> CLIPTokenizer:
        folder = self.config.out / "tokenizer"
        if not folder.exists():
            model = self.config.model
            captions = (draw(self.source, Request(Universe.PROMPTS, 16), self.config.seed, i)[1] for i in range(model.captions))
            train_tokenizer(captions, vocabulary=model.vocabulary, length=model.length).save_pretrained(folder)
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def train_clip(source: CaptionedSource, config: ClipConfig, start: Path | None = None) -> Path:
    """Train until the configuration's steps or time are up, from the weights in `start` if it names some; the answer is the directory that
    can ship.
    """
    training = Training(source, config)
    with ExitStack() as stack:
        stack.enter_context(training.run.opened())
        training.prepare(start)
        if config.data.workers:
            request = training.request(Universe.TRAIN)
            stack.callback(start_beside(grow_renders, source, training.store, request, config.data.target).terminate)
        training.loop()
    return config.out / "export"
