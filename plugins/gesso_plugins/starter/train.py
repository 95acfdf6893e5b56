"""`train_starter`: the stages in order, each skipped where its result exists; the last one runs until its time is up.

A run lives in one folder. A checkpoint resumes it exactly; a pipeline directory warm-starts a new one from averaged weights.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from transformers import CLIPTokenizer

from gesso.plugin.datasets import CaptionedSource
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
from gesso.training.renders import RenderStore, Request, Universe, draw
from gesso.training.sheet import save_sheet
from gesso.training.tokenizer import encode, train_tokenizer
from gesso_plugins.starter.autoencoder import ImagePools, measure_psnr, normalise_latents, train_autoencoder
from gesso_plugins.starter.config import TrainConfig
from gesso_plugins.starter.diffusion import draw_step, validation_loss, velocity_loss
from gesso_plugins.starter.export import Parts, export_pipeline, load_pipeline
from gesso_plugins.starter.latents import Growth, LatentSet, grow
from gesso_plugins.starter.networks import Denoiser, build_autoencoder, build_text_encoder, build_unet
from gesso_plugins.starter.sampling import Sampler, SamplingConfig
from gesso_plugins.starter.schedule import NoiseSchedule


class Training:
    """One run: its folder, its data, its networks and where it stands."""

    def __init__(self, source: CaptionedSource, config: TrainConfig) -> None:
        self.source = source
        self.config = config
        self.journal = Journal(config.out)
        self.store = RenderStore(config.out / "renders", config.seed, config.data.shard)
        self.clock = Clock(config.minutes)
        self.levels = NoiseSchedule(config.diffusion)
        self.step = 0
        self.samples = 0
        self.validation = float("nan")

    def prepare(self, start: Path | None) -> None:
        """Stages 1 to 3: words, autoencoder, latents; then the denoiser, from a checkpoint, from `start` or from nothing."""
        config = self.config
        warm = load_pipeline(start) if start is not None else None
        if warm:
            warm.tokenizer.save_pretrained(config.out / "tokenizer")
            warm.vae.save_pretrained(config.out / "autoencoder")
        self.tokenizer = warm.tokenizer if warm else self._tokenizer()
        self.vae = warm.vae if warm else self._autoencoder()
        self.vae.eval().requires_grad_(False)
        torch.manual_seed(config.seed)
        self.model = warm.model if warm else self._denoiser()
        self.optimiser = build_optimiser(self.model.modules(), config.diffusion.matrix_learning_rate, config.diffusion.learning_rate)
        self.average = Average(self.model, config.diffusion.ema)
        if warm:
            self.step = int(warm.record.get("step", 0))
            self.samples = int(warm.record.get("samples", 0))
            self.clock.earlier_hours = float(warm.record.get("cpu_hours", 0.0))
        self.warm_step = self.step
        self._latents()
        self._restore()

    def run(self) -> None:
        """Stage 4 until time is up, the steps are done or the process is asked to end."""
        config = self.config
        empty = encode(self.tokenizer, [""])[0]
        saved = shown = time.monotonic()
        losses: list[float] = []
        while not self.clock.over and (config.max_steps is None or self.step < config.max_steps):
            losses.append(self._one_step(empty))
            if self.step % config.data.refresh_every == 0:
                self.data.refresh(encoded_only=True)
            if self.step % config.validate_every == 0:
                self._validate()
            if self.step % config.log_every == 0:
                self._log(losses)
                losses = []
            now = time.monotonic()
            if now - shown >= 60 * config.sheet_minutes:
                shown = now
                self._sheet()
            if now - saved >= 60 * config.save_minutes:
                saved = now
                self.save()
        self.save()

    def save(self) -> None:
        """A checkpoint and the pipeline directory."""
        tensors = (
            prefixed("model", self.model.named_tensors()) | prefixed("average", self.average.tensors) | optimiser_tensors(self.optimiser)
        )
        facts = self.record() | {
            "warm_step": self.warm_step,
            "shards": self.data.shards,
        }
        save_checkpoint(self.config.out / "checkpoint", Checkpoint(tensors, facts))
        with self.average.applied():
            export_pipeline(self.config.out / "export", self._parts(), self.config.diffusion)

    def record(self) -> dict[str, Any]:
        """The facts that go beside the weights."""
        return {
            "step": self.step,
            "samples": self.samples,
            "seed": self.config.seed,
            "cpu_hours": round(self.clock.cpu_hours, 4),
            "validation": self.validation,
            "source": self.source.name,
            "config": self.config.as_json(),
        }

    def _parts(self) -> Parts:
        return Parts(self.model, self.vae, self.tokenizer, self.record())

    def _one_step(self, empty: torch.Tensor) -> float:
        diffusion = self.config.diffusion
        warm = rate(self.step - self.warm_step, warmup=diffusion.warmup)
        decay = rate(self.step, warmup=0, start_decay=diffusion.decay_start, steps=diffusion.decay_end, final=diffusion.final_rate)
        set_rate(self.optimiser, warm * decay)
        batch = draw_step(self.data, diffusion, empty, self.levels, (self.config.seed, self.step))
        self.model.unet.train()
        self.model.text.train()
        loss = velocity_loss(self.model, batch, self.levels)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for module in self.model.modules():
            torch.nn.utils.clip_grad_norm_(module.parameters(), 2.0)
        self.optimiser.step()
        self.average.update(self.step - self.warm_step)
        self.step += 1
        self.samples += len(batch.ids)
        return float(loss.detach())

    def _log(self, losses: list[float]) -> None:
        loss = sum(losses) / max(1, len(losses))
        values = {"loss": loss, "validation": self.validation}
        self.journal.record("denoiser", self.step, values, samples=self.samples, cpu_hours=self.clock.cpu_hours)
        text = f"loss {loss:.4f}, validation {self.validation:.4f}, {self.samples} samples, {self.clock.cpu_hours:.2f} CPU hours"
        self.journal.show("denoiser", self.step, self.config.max_steps, f"{text}, {len(self.data)} renders")

    def _validate(self) -> None:
        with self.average.applied():
            self.validation = validation_loss(self.model, self.held_out, self.levels)

    def _sheet(self) -> None:
        """What the averaged model draws now, always from the same captions and seeds."""
        prompts = self.held_out.captions[:24]
        with self.average.applied():
            sampler = Sampler(self.model, self.vae, self.tokenizer, self.levels)
            images = sampler.images(prompts, range(len(prompts)), SamplingConfig(size=self.config.data.size, steps=12))
        save_sheet(self.config.out / "sheets" / f"step-{self.step:07d}.webp", images, prompts)

    def _tokenizer(self) -> CLIPTokenizer:
        """Stage 1."""
        folder = self.config.out / "tokenizer"
        if not folder.exists():
            self.journal.say("learning the vocabulary")
            captions = (draw(self.source, Request(Universe.PROMPTS, 16), self.config.seed, i)[1] for i in range(self.config.text.captions))
            train_tokenizer(captions, vocabulary=self.config.text.vocabulary, length=self.config.text.length).save_pretrained(folder)
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    def _autoencoder(self) -> Any:
        """Stage 2."""
        config, data = self.config, self.config.data
        folder = config.out / "autoencoder"
        if folder.exists():
            return AutoencoderKL.from_pretrained(folder, local_files_only=True)
        self.journal.say("drawing renders for the autoencoder")
        for size, count in ((data.small_size, data.autoencoder_small), (data.size, data.autoencoder_large)):
            self.store.ensure(self.source, Request(Universe.AUTOENCODER, size), count)
        pools = ImagePools(
            self.store.images(Universe.AUTOENCODER, data.small_size, data.autoencoder_small),
            self.store.images(Universe.AUTOENCODER, data.size, data.autoencoder_large),
        )
        torch.manual_seed(config.seed)
        vae = build_autoencoder(config.autoencoder)
        start = config.out / "autoencoder-start"
        if start.exists():
            vae = AutoencoderKL.from_pretrained(start, local_files_only=True)
        train_autoencoder(vae, pools, config.autoencoder, config.seed, self._report_autoencoder)
        if self.clock.stop:
            raise SystemExit(0)
        normalise_latents(vae, pools.large[:512])
        self.journal.say(f"autoencoder: {measure_psnr(vae, pools.small[:64]):.2f} dB at {data.small_size} px")
        vae.save_pretrained(folder)
        return vae

    def _report_autoencoder(self, step: int, terms: dict[str, float]) -> bool:
        if step % self.config.log_every == 0:
            self.journal.record("autoencoder", step, terms)
            text = ", ".join(f"{name} {value:.3f}" for name, value in terms.items())
            self.journal.show("autoencoder", step, self.config.autoencoder.steps, text)
        return not self.clock.stop

    def _denoiser(self) -> Denoiser:
        config = self.config
        text = build_text_encoder(config.text, self.tokenizer)
        return Denoiser(build_unet(config.unet, config.text, config.autoencoder.latent_channels, config.data.size // 8), text)

    def _latents(self) -> None:
        """Stage 3: the first renders are waited for, the rest arrive while the denoiser trains."""
        data = self.config.data
        self.journal.say(f"drawing and encoding the first {data.minimum} renders")
        materials = data.materials or None
        self.store.ensure(self.source, Request(Universe.TRAIN, data.size, materials), data.minimum)
        self.store.ensure(self.source, Request(Universe.VALIDATION, data.size, materials), data.validation)
        self.data = LatentSet(self.store, Universe.TRAIN, data.size, self.vae, self.tokenizer)
        self.held_out = LatentSet(self.store, Universe.VALIDATION, data.size, self.vae, self.tokenizer)
        self.held_out.refresh()

    def _restore(self) -> None:
        """Where the run stood, if it has a checkpoint."""
        checkpoint = load_checkpoint(self.config.out / "checkpoint")
        if checkpoint is None:
            self.data.refresh()
            return
        facts = checkpoint.facts
        self.model.load_tensors(under("model", checkpoint.tensors))
        self.average.tensors = under("average", checkpoint.tensors)
        restore_optimiser(self.optimiser, checkpoint.tensors)
        self.step, self.samples, self.warm_step = facts["step"], facts["samples"], facts["warm_step"]
        self.clock.earlier_hours = facts["cpu_hours"]
        self.validation = facts["validation"]
        self.data.refresh(facts["shards"])


def train_starter(source: CaptionedSource, config: TrainConfig, start: Path | None = None) -> Path:
    """Train until the configuration's time or steps are up; the answer is the pipeline directory.

    source: captioned renders. start: a pipeline directory to go on from, used where `config.out` holds no checkpoint.
    """
    torch.set_num_threads(config.threads)
    training = Training(source, config)
    has_checkpoint = (config.out / "checkpoint" / "state.json").exists()
    with ExitStack() as stack:
        stack.callback(training.journal.close)
        stack.enter_context(StopOnSignal(training.clock))
        training.prepare(None if has_checkpoint else start)
        data = config.data
        if data.workers:
            growth = Growth(data.target, data.size, data.materials or None, config.out / "autoencoder")
            process = start_beside(grow, source, training.store, growth)
            stack.callback(process.terminate)
        training.run()
    return config.out / "export"
