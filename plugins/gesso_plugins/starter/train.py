"""`train_starter`: the stages in order, each skipped where its result exists; the last one runs until its time is up.

A run lives in one folder. A checkpoint resumes it exactly; a pipeline directory warm-starts a new one from averaged weights.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from transformers import CLIPTokenizer

from gesso.model.seamless import ZERO_PADDED
from gesso.plugin.datasets import CaptionedSource
from gesso.training.arguments import has_checkpoint
from gesso.training.beside import start_beside
from gesso.training.muon import build_optimiser
from gesso.training.place import listening, place_loss
from gesso.training.rate import rate
from gesso.training.renders import RenderStore, Request, Universe, draw
from gesso.training.run import Chore, Run
from gesso.training.sheet import save_sheet
from gesso.training.tokenizer import encode, train_tokenizer
from gesso.training.variety import laid_out
from gesso_plugins.starter.autoencoder import draw_pools, measure_psnr, normalise_latents, train_autoencoder
from gesso_plugins.starter.config import TrainConfig
from gesso_plugins.starter.diffusion import draw_step, validation_loss, velocity_loss
from gesso_plugins.starter.drawings import Drawings
from gesso_plugins.starter.export import Parts, export_pipeline, load_pipeline
from gesso_plugins.starter.latents import Growth, LatentSet, grow
from gesso_plugins.starter.networks import Denoiser, build_autoencoder, build_text_encoder, build_unet
from gesso_plugins.starter.recogniser import Recogniser, load_recogniser, recognition_loss, save_recogniser, train_recogniser
from gesso_plugins.starter.sampling import Sampler, SamplingConfig
from gesso_plugins.starter.schedule import NoiseSchedule


class Training:
    """One run: its data, its networks, and what one step learns."""

    def __init__(self, source: CaptionedSource, config: TrainConfig) -> None:
        self.source = source
        self.shown = laid_out(source, config.data.layouts)
        self.config = config
        self.run = Run("denoiser", config)
        folder = f"renders-{config.data.layouts}" if config.data.layouts else "renders"
        self.store = RenderStore(config.out / folder, config.seed, config.data.shard)
        self.levels = NoiseSchedule(config.diffusion)
        self.validation = float("nan")

    def prepare(self, start: Path | None) -> None:
        """Stages 1 to 4: words, autoencoder, latents, recogniser; and the denoiser, from a checkpoint, from `start` or from nothing."""
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
        self.model.unet.register_to_config(**{ZERO_PADDED: list(config.unet.zero_padded)})
        diffusion = config.diffusion
        optimiser = build_optimiser(self.model.modules(), diffusion.matrix_learning_rate, diffusion.learning_rate)
        self.run.train(self.model, self.model.modules(), optimiser, diffusion.ema)
        if warm:
            self.run.warm_start(warm.record)
        self._latents()
        facts = self.run.resume()
        if facts is not None:
            self.validation = facts["validation"]
        self.data.refresh(None if facts is None else facts["shards"])
        self.recogniser = self._recogniser() if config.recogniser.weight else None
        self.drawings = Drawings(self.data, self.levels, config.drawing)
        self.drawings.load_tensors(self.run.kept)

    def loop(self) -> None:
        """Stage 5 until time is up, the steps are done or the process is asked to end."""
        config = self.config
        self.empty = encode(self.tokenizer, [""])[0]
        chores = (
            Chore(lambda: self.data.refresh(encoded_only=True), steps=config.data.refresh_every),
            Chore(self._validate, steps=config.validate_every),
            Chore(self._log, steps=config.log_every),
            Chore(self._sheet, minutes=config.sheet_minutes),
            Chore(self.save, minutes=config.save_minutes),
        )
        self.run.loop(self._one_step, chores, config.max_steps)
        self.save()

    def save(self) -> None:
        """A checkpoint and the pipeline directory."""
        self.run.save(self.record() | {"shards": self.data.shards}, self.drawings.tensors())
        with self.run.average.applied():
            export_pipeline(self.config.out / "export", self._parts(), self.config.diffusion)

    def record(self) -> dict[str, Any]:
        """The facts that go beside the weights."""
        return self.run.record() | {"validation": self.validation, "source": self.source.name}

    def _parts(self) -> Parts:
        return Parts(self.model, self.vae, self.tokenizer, self.record())

    def _one_step(self) -> dict[str, float]:
        diffusion, step = self.config.diffusion, self.run.step
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        rolled = diffusion.rolled_share if self.config.data.layouts else 1.0
        batch = draw_step(self.data, diffusion, self.empty, self.levels, (self.config.seed, step), rolled)
        self.model.unet.train()
        self.model.text.train()
        with listening(self.model.unet, self.config.place) as heard:
            loss, guess = velocity_loss(self.model, batch, self.levels, self.config.half)
        terms = {"loss": loss}
        if self.config.place.weight and batch.whole:
            terms["place"] = self.config.place.weight * place_loss(heard)
        if self.recogniser is not None and batch.wrap:
            said = recognition_loss(self.recogniser, guess, self.levels, self.config.recogniser)
            terms["recognition"] = self.config.recogniser.weight * said
        if self.recogniser is not None and self.config.drawing.count:
            drawn = self.drawings.guess(self.model, np.random.default_rng([self.config.seed, 41, step]), self.config.half)
            terms["drawn"] = self.config.drawing.weight * recognition_loss(self.recogniser, drawn, self.levels, self.config.recogniser)
        warm = rate(step - self.run.warm_step, warmup=diffusion.warmup)
        decay = rate(step, warmup=0, start_decay=diffusion.decay_start, steps=diffusion.decay_end, final=diffusion.final_rate)
        self.run.learn(torch.stack(list(terms.values())).sum(), warm * decay, len(batch.ids))
        return {name: float(value.detach()) for name, value in terms.items()}

    def _log(self) -> None:
        self.run.log(self.config.max_steps, f"{len(self.data)} renders", validation=self.validation)

    def _validate(self) -> None:
        with self.run.average.applied():
            self.validation = validation_loss(self.model, self.held_out, self.levels)

    def _sheet(self) -> None:
        """What the averaged model draws now, always from the same captions and seeds."""
        prompts = self.held_out.captions[:24]
        with self.run.average.applied():
            sampler = Sampler(self.model, self.vae, self.tokenizer, self.levels)
            images = sampler.images(prompts, range(len(prompts)), SamplingConfig(size=self.config.data.size, steps=12))
        save_sheet(self.config.out / "sheets" / f"step-{self.run.step:07d}.webp", images, prompts)

    def _tokenizer(self) -> CLIPTokenizer:
        """Stage 1."""
        folder = self.config.out / "tokenizer"
        if not folder.exists():
            self.run.journal.say("learning the vocabulary")
            captions = (draw(self.source, Request(Universe.PROMPTS, 16), self.config.seed, i)[1] for i in range(self.config.text.captions))
            train_tokenizer(captions, vocabulary=self.config.text.vocabulary, length=self.config.text.length).save_pretrained(folder)
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    def _autoencoder(self) -> Any:
        """Stage 2."""
        config = self.config
        folder = config.out / "autoencoder"
        if folder.exists():
            return AutoencoderKL.from_pretrained(folder, local_files_only=True)
        self.run.journal.say("drawing renders for the autoencoder")
        pools = draw_pools(self.store, self.source, config.data)
        torch.manual_seed(config.seed)
        vae = build_autoencoder(config.autoencoder)
        start = config.out / "autoencoder-start"
        if start.exists():
            vae = AutoencoderKL.from_pretrained(start, local_files_only=True)
        train_autoencoder(vae, pools, config.autoencoder, config.seed, self._report_autoencoder)
        if self.run.clock.stop:
            raise SystemExit(0)
        normalise_latents(vae, pools.large[:512])
        self.run.journal.say(f"autoencoder: {measure_psnr(vae, pools.small[:64]):.2f} dB at {config.data.small_size} px")
        vae.save_pretrained(folder)
        return vae

    def _report_autoencoder(self, step: int, terms: dict[str, float]) -> bool:
        if step % self.config.log_every == 0:
            self.run.journal.record("autoencoder", step, terms)
            text = ", ".join(f"{name} {value:.3f}" for name, value in terms.items())
            self.run.journal.show("autoencoder", step, self.config.autoencoder.steps, text)
        return not self.run.clock.stop

    def _denoiser(self) -> Denoiser:
        config = self.config
        text = build_text_encoder(config.text, self.tokenizer)
        return Denoiser(build_unet(config.unet, config.text, config.autoencoder.latent_channels, config.data.size // 8), text)

    def _latents(self) -> None:
        """Stage 3: the first renders are waited for, the rest arrive while the denoiser trains."""
        data = self.config.data
        self.run.journal.say(f"drawing and encoding the first {data.minimum} renders")
        materials = data.materials or None
        self.store.ensure(self.shown, Request(Universe.TRAIN, data.size, materials), data.minimum)
        self.store.ensure(self.shown, Request(Universe.VALIDATION, data.size, materials), data.validation)
        self.data = LatentSet(self.store, Universe.TRAIN, data.size, self.vae, self.tokenizer)
        self.data.emphasis, self.data.settled = data.emphasis, data.settled
        self.held_out = LatentSet(self.store, Universe.VALIDATION, data.size, self.vae, self.tokenizer)
        self.held_out.refresh()

    def _recogniser(self) -> Recogniser:
        """Stage 4."""
        path, config = self.config.out / "recogniser.safetensors", self.config.recogniser
        if not path.exists():
            save_recogniser(path, train_recogniser(self.data, self.levels, config, self.config.seed, self.run.journal.say))
        return load_recogniser(path, self.data.channels, config)


def train_starter(source: CaptionedSource, config: TrainConfig, start: Path | None = None) -> Path:
    """Train until the configuration's time or steps are up; the answer is the pipeline directory.

    source: captioned renders. start: a pipeline directory to go on from, used where `config.out` holds no checkpoint.
    """
    training = Training(source, config)
    with ExitStack() as stack:
        stack.enter_context(training.run.opened())
        training.prepare(None if has_checkpoint(config.out) else start)
        data = config.data
        if data.workers:
            growth = Growth(data.target, data.size, data.materials or None, config.out / "autoencoder")
            process = start_beside(grow, training.shown, training.store, growth)
            stack.callback(process.terminate)
        training.loop()
    return config.out / "export"
