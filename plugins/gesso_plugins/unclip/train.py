"""`train_unclip`: prior, decoder and upsampler, one after the other, on the embeddings of a CLIP that stays as it is (Ramesh et al. 2022,
section 2). Each stage is a run of its own in the run's folder and resumes exactly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from gesso.errors import InvalidRequest
from gesso.model import Conditioning
from gesso.model.seamless import make_seamless
from gesso.plugin.datasets import CaptionedSource
from gesso.training import precision
from gesso.training.arguments import has_checkpoint
from gesso.training.beside import grow_renders, start_beside
from gesso.training.muon import build_optimiser
from gesso.training.place import listening, place_loss
from gesso.training.rate import rate
from gesso.training.refusals import refuse_other, refuse_unknown
from gesso.training.renders import RenderStore, Request, Universe
from gesso.training.run import Chore, Run
from gesso.training.sheet import save_sheet
from gesso.training.variety import laid_out, stays_still
from gesso_plugins.unclip.config import CAPTION_DROPOUT, EMBEDDING_DROPOUT, PRIOR_DROPOUT, STAGES, UnclipConfig
from gesso_plugins.unclip.data import Chance, Seen, crops, halved, pictures, some
from gesso_plugins.unclip.levels import Levels
from gesso_plugins.unclip.networks import Clip, Stage, build
from gesso_plugins.unclip.parts import enlarged
from gesso_plugins.unclip.sheet import Painter
from gesso_plugins.unclip.storage import FOLDER, save_directory


class Training:
    """All stages of one run: its renders, its networks, and what a step of each teaches."""

    def __init__(self, source: CaptionedSource, config: UnclipConfig) -> None:
        self.source, self.config = laid_out(source, config.data.layouts), config
        network = config.network
        self.size = network.image * network.factor
        self.store = RenderStore(config.out / "renders", config.seed, config.data.shard)
        self.request = Request(Universe.TRAIN, self.size, config.data.materials)
        self.levels = Levels(config.timesteps)
        self.records: dict[str, Any] = {}

    def prepare(self) -> None:
        """The CLIP, the first renders, the networks; what earlier stages have learned is taken from their checkpoints."""
        config, network = self.config, self.config.network
        refuse_unknown(self.source, config.data.materials)
        if network.factor > 1 and (config.crop % 2 ** len(network.upsampler) or config.crop > self.size):
            raise InvalidRequest(f"Crops of {config.crop} pixels do not fit pictures of {self.size}.", field="crop")
        for stage in config.stages:
            if has_checkpoint(config.out / stage):
                refuse_other(config.out / stage, config.identity())
        torch.set_num_threads(config.threads)  # for what CLIP says of the renders too: its last bits depend on it
        self.clip = Clip.read(config.clip)
        torch.manual_seed(config.seed)
        self.networks = build(network, self.clip.config)
        self.store.ensure(self.source, self.request, config.data.minimum)
        self.pool = Seen(self.store, self.size, self.clip, still=stays_still(self.source, config.data.layouts))
        self.pool.refresh(-(-config.data.minimum // config.data.shard))
        mean, deviation = self.pool.statistics(config.data.minimum)
        with torch.no_grad():
            self.networks["prior"].network.clip_mean.copy_(mean)
            self.networks["prior"].network.clip_std.copy_(deviation)

    def run(self) -> Path:
        """Every stage to its end, or until time is up; the answer is the directory."""
        started = time.monotonic()
        for stage in self.config.stages:
            spent = (time.monotonic() - started) / 60
            left = None if self.config.minutes is None else max(0.0, self.config.minutes - spent)
            if not self._stage(stage, left):
                break
        return self.config.out / FOLDER

    def _stage(self, name: str, minutes: float | None) -> bool:
        """One stage; whether it came to its end. Afterwards its networks are its average."""
        config, own = self.config, getattr(self.config, name)
        run = Run(name, replace(config, out=config.out / name, minutes=minutes))
        trained = Stage(self.networks[name])
        until = config.steps_of(name)
        with run.opened():
            run.train(trained, [trained.step], build_optimiser([trained.step], own.matrix_rate, own.rate), config.ema)
            stood = run.resume()
            self.pool.refresh(None if stood is None else stood["shards"])

            def save() -> None:
                run.save(run.record() | {"shards": self.pool.shards, "identity": config.identity()})
                self._export(name, run)

            chores = (
                Chore(self.pool.refresh, steps=config.data.refresh_every),
                Chore(lambda: run.log(until, f"{len(self.pool)} renders"), steps=config.log_every),
                Chore(lambda: self._sheet(name, run), minutes=config.sheet_minutes),
                Chore(save, minutes=config.save_minutes),
            )
            teach: Callable[[Chance], torch.Tensor] = getattr(self, f"_{name}_loss")
            before = run.step
            run.loop(lambda: self._one_step(run, teach, until), chores, until)
            if run.step > before or stood is None:
                save()
                self._sheet(name, run)
            self.records[name] = run.record()
            trained.load_tensors(run.average.tensors)
        return run.step >= until

    def _one_step(self, run: Run, teach: Callable[[Chance], torch.Tensor], until: int) -> dict[str, float]:
        config = self.config
        own = getattr(config, run.stage)
        factor = rate(run.step, warmup=config.warmup, start_decay=int(config.decay_start * until), steps=until, final=config.final_rate)
        chance = Chance.of(config.seed, STAGES.index(run.stage), run.step)
        wrap = bool(torch.rand((), generator=chance.rng) >= config.zero_padding_share)
        with wrapping(self.networks[run.stage], wrap=wrap and run.stage == "decoder"):
            loss = teach(chance)
            run.learn(loss, factor, own.batch)
        return {"loss": float(loss.detach())}

    def _prior_loss(self, chance: Chance) -> torch.Tensor:
        """|z - f(z_t, t, y)|^2: the unnoised embedding is predicted (section 2.2); standardised, as it is served."""
        step, batch = self.networks["prior"], self.config.prior.batch
        index = some(self.pool, batch, chance)
        clean = (self.pool.embeddings(index) - step.network.clip_mean) / step.network.clip_std
        captions = [self.pool.captions[i] for i in index]
        words = self._words(captions, chance.share(batch, PRIOR_DROPOUT))
        time = self.levels.times(batch, chance.rng)
        noisy = self.levels.noisy(clean, chance.noise(clean), time)
        made = precision.call(step, noisy, time, *words, half=self.config.half)
        return functional.mse_loss(made.float(), clean)

    def _decoder_loss(self, chance: Chance) -> torch.Tensor:
        """|x - f(x_t, t, z, y)|^2, weighed, with the embedding left unheard at times, and the caption often (section 2.1); and, where the
        layouts are fixed, what the network's features leave unsaid of their place.
        """
        config, batch = self.config, self.config.decoder.batch
        index = some(self.pool, batch, chance)
        clean = halved(pictures(self.pool, index, chance), config.network.image)
        states, vector, mask = self._words([self.pool.captions[i] for i in index], chance.share(batch, CAPTION_DROPOUT))
        heard = (~chance.share(batch, EMBEDDING_DROPOUT)).float()[:, None]
        time, noise = self.levels.times(batch, chance.rng), chance.noise(clean)
        words = torch.cat([states, mask[..., None].float()], -1)
        noisy, embedding = self.levels.noisy(clean, noise, time), self.pool.embeddings(index)
        decoder = self.networks["decoder"]
        with listening(decoder.network, config.place) as features:
            made = precision.call(decoder, noisy, time, words, vector, embedding, heard, half=config.half)
        loss = self.levels.weighted(made.float(), clean, time)
        return loss + config.place.weight * place_loss(features) if config.place.weight and config.data.layouts else loss

    def _upsampler_loss(self, chance: Chance) -> torch.Tensor:
        """The same of crops, from a small picture that is noisy itself, since the decoder's are not perfect."""
        config, batch = self.config, self.config.upsampler.batch
        whole = crops(self.pool, some(self.pool, batch, chance), chance, config.crop, wrap=config.zero_padding_share < 1)
        small = halved(whole, config.crop // config.network.factor)
        noise_of_small = config.blur * torch.rand(batch, 1, 1, 1, generator=chance.rng) * chance.noise(small)
        time, noise = self.levels.times(batch, chance.rng), chance.noise(whole)
        grown = enlarged(small + noise_of_small, (config.crop, config.crop))
        noisy = self.levels.noisy(whole, noise, time)
        made = precision.call(self.networks["upsampler"], noisy, grown, time, half=config.half)
        return self.levels.weighted(made.float(), whole, time)

    def _words(self, captions: list[str], dropped: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """States, vectors and masks of captions, some of them left empty."""
        return self.clip.read_words(["" if gone else text for gone, text in zip(dropped.tolist(), captions, strict=True)])

    def _export(self, name: str, run: Run) -> None:
        """The directory that can be served, as far as it has come."""
        record = {**run.record(), "stages": {stage: done["step"] for stage, done in self.records.items()} | {name: run.step}}
        record["cpu_hours"] = round(run.record()["cpu_hours"] + sum(done["cpu_hours"] for done in self.records.values()), 4)
        with run.average.applied():
            save_directory(self.config.out / FOLDER, self.networks, self.clip, self.config, record)

    def _sheet(self, name: str, run: Run) -> None:
        """Renders, what is made of their embeddings, and what is made of their captions alone, in rows. The prior alone paints nothing."""
        if name == "prior":
            return
        config, count = self.config, min(self.config.captions, len(self.pool))
        index = list(range(count))
        captions = [self.pool.captions[i] for i in index]
        words = Conditioning(*self.clip.read_words(captions)[:2], {"mask": self.clip.read_words(captions)[2]})
        rng = torch.Generator().manual_seed(config.seed)
        side = config.network.image
        seeds = torch.randn(count, 3, side, side, generator=rng)
        painter = Painter(self.networks, config.timesteps)
        with run.average.applied(), torch.no_grad(), wrapping(self.networks["decoder"], wrap=config.zero_padding_share < 1):
            imagined = painter.imagined(words, torch.randn(count, self.clip.config.width, generator=rng))
            made = [painter.painted(words, each, seeds) for each in (self.pool.embeddings(index), imagined)]
            if name == "upsampler":
                made = [painter.grown(each, torch.randn(count, 3, self.size, self.size, generator=rng)) for each in made]
        real = torch.from_numpy(np.stack([self.pool.image(i) for i in index]))
        rows = [real.numpy()]
        for each in made:
            grown = functional.interpolate(each, (self.size, self.size), mode="nearest")
            rows.append((grown * 127.5 + 128).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())
        path = config.out / "sheets" / f"{name}-{run.step:06d}.webp"
        save_sheet(path, np.concatenate(rows), captions * 3, columns=count)


@contextmanager
def wrapping(network: Any, *, wrap: bool) -> Iterator[None]:
    """A network whose pictures wrap around on both axes, for as long as the block lasts."""
    padding = make_seamless(network, wrap, wrap)
    try:
        yield
    finally:
        padding.eject()


def train_unclip(source: CaptionedSource, config: UnclipConfig) -> Path:
    """Train until every stage is done or time is up; the answer is the directory."""
    training = Training(source, config)
    with ExitStack() as stack:
        training.prepare()
        if config.data.workers:
            stack.callback(start_beside(grow_renders, training.source, training.store, training.request, config.data.target).terminate)
        return training.run()
