"""`train_dalle`: first a discrete autoencoder, then a transformer over the tokens that it makes of pictures (Ramesh et al. 2021, section
2). A run lives in one folder and resumes exactly, in either stage.

The second stage begins with the average of the first, which it does not change any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gesso.errors import InvalidRequest
from gesso.model import TokenChoice
from gesso.model.seamless import make_seamless
from gesso.plugin.datasets import CaptionedSource
from gesso.training import precision
from gesso.training.arguments import has_checkpoint
from gesso.training.beside import grow_renders, start_beside
from gesso.training.ema import Average
from gesso.training.muon import Muon, build_optimiser
from gesso.training.pool import Pool
from gesso.training.rate import rate
from gesso.training.refusals import refuse_other, refuse_unknown
from gesso.training.renders import RenderStore, Request, Universe, draw
from gesso.training.run import Chore, Run
from gesso.training.variety import laid_out, stays_still
from gesso.training.vocabulary import digest, kept, refuse_other_words
from gesso_plugins.dalle import sheets
from gesso_plugins.dalle.autoencoder import annealed, begin, divergence, relaxed, surprise, tokens_of, unevenness
from gesso_plugins.dalle.config import DalleConfig
from gesso_plugins.dalle.data import Batch, draw_batch, to_tensor
from gesso_plugins.dalle.storage import FILE, Networks
from gesso_plugins.dalle.transformer import losses

WEIGHTS = "dalle.safetensors"
STAGES = ("autoencoder", "transformer")


class Training:
    """One run: its renders, its networks, and what one step of either stage teaches them."""

    def __init__(self, source: CaptionedSource, config: DalleConfig) -> None:
        self.source, self.config = laid_out(source, config.data.layouts), config
        self.run = Run(STAGES[0], config)
        self.store = RenderStore(config.out / "renders", config.seed, config.data.shard)
        self.request = Request(Universe.TRAIN, config.network.image, config.data.materials)

    def prepare(self, start: Path | None = None) -> None:
        """Vocabulary, first renders, networks, from `start` or from nothing; then where the run stood."""
        config, data, network = self.config, self.config.data, self.config.network
        refuse_unknown(self.source, data.materials)
        if has_checkpoint(config.out):
            refuse_other(config.out, config.identity())
        torch.manual_seed(config.seed)
        self.networks, facts = self._begun(start)
        tokenizer = self.networks.tokenizer
        if has_checkpoint(config.out):
            refuse_other_words(config.out, tokenizer)
        self.run.journal.say(f"drawing the first {data.minimum} renders")
        self.store.ensure(self.source, self.request, data.minimum)
        if start is None:
            shown = to_tensor(self.store.load(Universe.TRAIN, network.image, 0).images)
            begin(self.networks.encoder, self.networks.decoder, shown, torch.Generator().manual_seed(config.seed))
        self.pool = Pool(self.store, network.image, tokenizer, still=stays_still(self.source, data.layouts))
        self.run.train(self.networks, self.networks.parts.values(), self._optimiser(), config.ema)
        self.run.warm_start(facts)
        stood = self.run.resume()
        self.pool.refresh(None if stood is None else stood["shards"])
        self._enter_stage()

    @property
    def drawing(self) -> bool:
        """Whether the second stage has begun."""
        return self.run.step >= self.config.autoencoder.steps

    def loop(self) -> None:
        """Both stages, until the steps are done, time is up or the process is asked to end."""
        config = self.config
        chores = (
            Chore(self.pool.refresh, steps=config.data.refresh_every),
            Chore(self._log, steps=config.log_every),
            Chore(self.save_sheet, minutes=config.sheet.minutes),
            Chore(self.save, minutes=config.save_minutes),
        )
        if not self.drawing:
            self.run.loop(self._teach_autoencoder, chores, min(config.steps, config.autoencoder.steps))
            self._enter_stage()
        if self.drawing:
            self.run.loop(self._teach_transformer, chores, config.steps)
        self.save()
        self.save_sheet()

    def save(self) -> None:
        """A checkpoint and the file that can be served."""
        facts = {"shards": self.pool.shards, "identity": self.config.identity(), "vocabulary": digest(self.networks.tokenizer)}
        self.run.save(self.record() | facts)
        with self.run.average.applied():
            FILE.save(self.config.out / WEIGHTS, self.networks, self.record())

    def record(self) -> dict[str, Any]:
        """The facts that go with the weights."""
        return self.run.record() | {"source": self.source.name, "stage": self.run.stage}

    def save_sheet(self) -> None:
        """Renders above what the autoencoder makes of them; in the second stage, a row of drawn pictures for each seed."""
        sheet = self.config.sheet
        index = list(range(min(sheet.prompts, len(self.pool))))
        captions = [self.pool.captions[i] for i in index]
        with self.run.average.applied(), wrapping(self.networks):
            if self.drawing:
                seeds = [seed for seed in range(sheet.seeds) for _ in captions]
                rows = list(torch.split(sheets.drawn(self.networks, captions * sheet.seeds, seeds, TokenChoice()), len(captions)))
            else:
                pictures = torch.cat([to_tensor(self.pool.image(i)[None]) for i in index])
                rows = [pictures, sheets.again(self.networks, pictures)]
        sheets.save(self.config.out / "sheets" / f"{self.run.step:06d}.webp", rows, captions)

    def _enter_stage(self) -> None:
        """Say which stage the run is in. Where the second begins, the networks are those of the average, which begins anew. It can be done
        twice without harm, so that it does not matter on which side of it a run was broken.
        """
        self.run.stage = STAGES[self.drawing]
        if self.run.step == self.config.autoencoder.steps:
            self.networks.load_tensors(self.run.average.tensors)
            self.run.average = Average(self.networks, self.config.ema)
            self.run.warm_step = self.run.step

    def _begun(self, start: Path | None) -> tuple[Networks, dict[str, Any]]:
        config, network = self.config, self.config.network
        if start is not None:
            return FILE.begin(start, network, config.out)
        request = Request(Universe.PROMPTS, 16, config.data.materials)
        captions = (draw(self.source, request, config.seed, i)[1] for i in range(config.data.captions))
        return Networks.new(network, kept(config.out, captions, vocabulary=network.words, length=network.length)), {}

    def _log(self) -> None:
        self.run.log(self.config.steps, f"{len(self.pool)} renders")

    def _optimiser(self) -> Muon:
        """Adam for the autoencoder (appendix A.2); matrices of the transformer's layers by Muon, all else of it by Adam."""
        config, networks = self.config, self.networks
        own, rates = config.autoencoder, config.transformer
        adam = [_group([p for network in networks.autoencoder for p in network.parameters()], own.learning_rate, config.betas)]
        layers = build_optimiser([networks.transformer.layers], rates.matrix_rate, rates.learning_rate)
        inside = {id(p) for p in networks.transformer.layers.parameters()}
        rest = [p for p in networks.transformer.parameters() if id(p) not in inside]
        return Muon([*adam, *layers.param_groups, _group(rest, rates.learning_rate, config.betas)])

    def _batch(self, count: int) -> Batch:
        return draw_batch(self.pool, count, (self.config.seed, self.run.step))

    def _factor(self, taken: int, steps: int) -> float:
        """On the learning rates, at a step of a stage."""
        config = self.config
        return rate(taken, warmup=config.warmup, start_decay=int(config.decay_start * steps), steps=steps, final=config.final_rate)

    def _teach_autoencoder(self) -> dict[str, float]:
        """One step of stage 1: the evidence's lower bound with a weighted divergence, per sample of a picture (appendix A)."""
        config, own, step = self.config, self.config.autoencoder, self.run.step
        rng = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        share = step / max(1, own.steps)
        temperature = annealed(*own.temperature, share / own.annealing)
        weight = annealed(0.0, own.divergence, share / own.rising)
        pictures = self._batch(own.batch).pictures
        with wrapping(self.networks):
            logits = precision.call(self.networks.encoder, pictures, half=config.half)
            statistics = precision.call(self.networks.decoder, relaxed(logits, temperature, rng), half=config.half)
        seen = surprise(statistics, pictures).mean()
        apart = divergence(logits).mean()
        uneven = unevenness(logits)
        loss = seen + weight * apart + own.unevenness * uneven
        self.run.learn(loss, self._factor(step, own.steps), len(pictures))
        terms = {"loss": loss, "surprise": seen, "divergence": apart, "unevenness": uneven}
        return {name: float(term.detach()) for name, term in terms.items()}

    def _teach_transformer(self) -> dict[str, float]:
        """One step of stage 2, on the likeliest tokens of pictures."""
        config, own, networks = self.config, self.config.transformer, self.networks
        first = config.autoencoder.steps
        batch = self._batch(own.batch)
        with torch.no_grad(), wrapping(networks):
            image = tokens_of(precision.call(networks.encoder, batch.pictures, half=config.half)).flatten(1)
        text = networks.padded(batch.ids)
        said, shown = losses(precision.call(networks.transformer, text, image, half=config.half), text, image)
        loss = own.text * said + own.image * shown
        self.run.learn(loss, self._factor(self.run.step - first, config.steps - first), len(text))
        return {"loss": float(loss.detach()), "text": float(said.detach()), "image": float(shown.detach())}


@contextmanager
def wrapping(networks: Networks) -> Iterator[None]:
    """The autoencoder with pictures that wrap around on both axes, as renders do."""
    paddings = [make_seamless(network) for network in networks.autoencoder]
    try:
        yield
    finally:
        for padding in paddings:
            padding.eject()


def train_dalle(source: CaptionedSource, config: DalleConfig, start: Path | None = None) -> Path:
    """Train until the configuration's steps or time are up, from the networks in `start` or from nothing; the answer is the file."""
    training = Training(source, config if start is None else _from_there(config, start))
    with ExitStack() as stack:
        stack.enter_context(training.run.opened())
        training.prepare(start)
        if config.data.workers:
            stack.callback(start_beside(grow_renders, training.source, training.store, training.request, config.data.target).terminate)
        training.loop()
    return config.out / WEIGHTS


def _from_there(config: DalleConfig, start: Path) -> DalleConfig:
    """The recipe of a run that begins where a file stands: a transformer knows the tokens of one autoencoder, which is therefore done."""
    record = FILE.told(start).record
    done = int(record.get("step", 0))
    if done >= config.steps:
        raise InvalidRequest(f"The networks in {start} have learned for {done} steps.", field="steps", hint="Give more --steps in all.")
    if record.get("stage") != STAGES[1]:
        return config
    return replace(config, autoencoder=replace(config.autoencoder, steps=done))


def _group(parameters: list[torch.nn.Parameter], learning_rate: float, betas: tuple[float, float]) -> dict[str, Any]:
    return {"params": parameters, "lr": learning_rate, "base_lr": learning_rate, "betas": betas}
