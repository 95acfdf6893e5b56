"""`train_vaegan`: an autoencoder whose decoder is a generator, against a critic that also reads (Larsen et al. 2016, algorithm 1; Reed et
al. 2016, algorithm 1). A run lives in one folder and resumes exactly; a file warm-starts a new one.

The generator learns first, then the critic from the same pictures, at a rate of its own (Heusel et al. 2017). As in Larsen's algorithm, the
encoder is not told what the critic says, only how like its picture comes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from gesso.model.seamless import make_seamless
from gesso.plugin.datasets import CaptionedSource
from gesso.training import precision
from gesso.training.arguments import has_checkpoint
from gesso.training.beside import grow_renders, start_beside
from gesso.training.muon import Muon, build_optimiser
from gesso.training.rate import rate
from gesso.training.refusals import refuse_other, refuse_unknown
from gesso.training.renders import RenderStore, Request, Universe, draw
from gesso.training.run import Chore, Run, descend
from gesso.training.sheet import save_sheet
from gesso.training.tokenizer import encode
from gesso.training.variety import laid_out, stays_still
from gesso.training.vocabulary import digest, kept, refuse_other_words
from gesso_plugins.vaegan.augment import augmented
from gesso_plugins.vaegan.config import VaeganConfig
from gesso_plugins.vaegan.data import Batch, KindPool, draw_batch
from gesso_plugins.vaegan.losses import Scores, agreement, annealed, critic_loss, likeness, maker_loss, prior, slope_penalty
from gesso_plugins.vaegan.networks import spread_words
from gesso_plugins.vaegan.storage import FILE, Networks, Painter
from gesso_plugins.vaegan.watch import Health, health, made_diversity, render_diversity

WEIGHTS = "vaegan.safetensors"


@dataclass(frozen=True)
class Moment:
    """One step: its batch, its random numbers, the factor on the learning rates, the weight of the prior, how much the critic is heard."""

    batch: Batch
    rng: torch.Generator
    factor: float
    prior: float
    heard: float


class Training:
    """One run: its renders, its networks, and what one step teaches them."""

    def __init__(self, source: CaptionedSource, config: VaeganConfig) -> None:
        self.source, self.config = laid_out(source, config.data.layouts), config
        self.run = Run("vaegan", config)
        self.store = RenderStore(config.out / "renders", config.seed, config.data.shard)
        self.request = Request(Universe.TRAIN, config.network.image, config.data.materials)
        self.health = Health(1.0, collapsed=False)

    def prepare(self, start: Path | None) -> None:
        """Vocabulary, first renders, networks, from `start` or from nothing; then where the run stood."""
        config = self.config
        refuse_unknown(self.source, config.data.materials)
        if has_checkpoint(config.out):
            refuse_other(config.out, config.identity())
        torch.manual_seed(config.seed)
        self.networks, facts = self._begun(start)
        if has_checkpoint(config.out):
            refuse_other_words(config.out, self.networks.tokenizer)
        self.run.journal.say(f"drawing the first {config.data.minimum} renders")
        self.store.ensure(self.source, self.request, config.data.minimum)
        self.pool = KindPool(self.store, config.network.image, self.networks.tokenizer, still=stays_still(self.source, config.data.layouts))
        networks = self.networks
        for network in (networks.encoder, networks.generator):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        makers: list[nn.Module] = [networks.words, networks.encoder, networks.generator]
        muon = build_optimiser([networks.words, networks.generator], config.matrix_rate, config.learning_rate, weight_decay=0.0)
        adam = [
            {"params": list(module.parameters()), "lr": lr, "base_lr": lr}
            for module, lr in ((networks.encoder, config.learning_rate), (networks.critic, config.critic_rate))
        ]
        groups = [{**group, "betas": config.betas} for group in [*muon.param_groups, *adam]]
        self.run.train(networks, makers, Muon(groups), config.ema)
        self.run.warm_start(facts)
        stood = self.run.resume()
        self.pool.refresh(None if stood is None else stood["shards"])
        self._prompts()

    def loop(self) -> None:
        """Step until the steps are done, time is up or the process is asked to end."""
        config = self.config
        chores = (
            Chore(self.pool.refresh, steps=config.data.refresh_every),
            Chore(self.watch, steps=config.watch.every),
            Chore(self._log, steps=config.log_every),
            Chore(self.save_sheet, minutes=config.sheet_minutes),
            Chore(self.save, minutes=config.save_minutes),
        )
        self.run.loop(self._one_step, chores, config.steps)
        self.save()
        self.save_sheet()

    def save(self) -> None:
        """A checkpoint and the file that can be served."""
        self.watch()
        words = digest(self.networks.tokenizer)
        self.run.save(self.record() | {"shards": self.pool.shards, "identity": self.config.identity(), "vocabulary": words})
        with self.run.average.applied():
            FILE.save(self.config.out / WEIGHTS, self.networks.painter, self.record())

    def record(self) -> dict[str, Any]:
        """The facts that go with the weights."""
        facts = {"source": self.source.name, "diversity": round(self.health.share, 4), "collapsed": self.health.collapsed}
        return self.run.record() | facts

    def save_sheet(self) -> None:
        """Pictures of the watched captions as the average makes them, one row for each seed."""
        pixels = (self._watched().transpose(0, 1).flatten(0, 1) * 127.5 + 128).clamp(0, 255).byte()
        path = self.config.out / "sheets" / f"{self.run.step:06d}.webp"
        titles = self.captions * self.config.watch.seeds
        save_sheet(path, pixels.permute(0, 2, 3, 1).numpy(), titles, columns=len(self.captions))

    def watch(self) -> None:
        """See how much the pictures of one caption differ; say so when they stop to."""
        before = self.health
        self.health = health(made_diversity(self._watched()), self.renders_differ, self.config.watch.least)
        if self.health.collapsed and not before.collapsed:
            self.run.journal.say(f"step {self.run.step}: {self.health.sentence()}")

    def _log(self) -> None:
        self.run.log(self.config.steps, f"{len(self.pool)} renders, {self.health.sentence()}", diversity=self.health.share)

    def _prompts(self) -> None:
        """The first captions of as many kinds as are watched, their seeds, and how much renders differ."""
        watch, network = self.config.watch, self.config.network
        firsts = sorted(members[0] for members in self.pool.members.values())[: watch.prompts]
        self.captions = [self.pool.captions[i] for i in firsts]
        self.renders_differ = render_diversity(self.pool, watch.seeds)
        side = network.image // network.factor
        shape = (len(self.captions), watch.seeds, network.latent, side, side)
        self.seeds = torch.randn(shape, generator=torch.Generator().manual_seed(self.config.seed))

    @torch.no_grad()
    def _watched(self) -> torch.Tensor:
        """Pictures (captions, seeds, 3, S, S) in [-1, 1] by the average."""
        with self.run.average.applied(), wrapping([self.networks.generator], wrap=self.config.zero_padding_share < 1):
            words = self.networks.words(encode(self.networks.tokenizer, self.captions))[1]
            told = [spread_words(row[None].expand(len(seeds), -1), seeds) for row, seeds in zip(words, self.seeds, strict=True)]
            return torch.stack([self.networks.generator(seeds, row) for seeds, row in zip(self.seeds, told, strict=True)])

    def _one_step(self) -> dict[str, float]:
        config, networks = self.config, self.networks
        taken, steps = self.run.step - self.run.warm_step, config.steps - self.run.warm_step
        factor = rate(taken, warmup=config.warmup, start_decay=int(config.decay_start * steps), steps=steps, final=config.final_rate)
        rng = torch.Generator().manual_seed(config.seed * 1_000_003 + self.run.step)
        learned = config.loss.annealed * steps
        phase = taken / learned if learned else 2.0  # 0 to 1: the words are learned; 1 to 2: the critic is heard more and more
        weight, said = annealed(config.loss.prior, phase), annealed((0.0, 1.0), max(0.0, phase - 1))
        moment = Moment(draw_batch(self.pool, config.batch, (config.seed, self.run.step)), rng, factor, weight, said)
        wrap = bool(torch.rand((), generator=rng) >= config.zero_padding_share)
        with wrapping([networks.encoder, networks.generator, networks.critic], wrap=wrap), precision.lowered(config.half):
            terms, made = self._teach_makers(moment)
            return terms | {"critic": self._teach_critic(moment, made)}

    def _teach_makers(self, moment: Moment) -> tuple[dict[str, float], torch.Tensor]:
        """One step of all but the critic; the pictures that it is to judge: of noise, and of what the encoder saw, in turn. Until it is
        heard those that came back do.
        """
        config, networks, weights = self.config, self.networks, self.config.loss
        real, rng = moment.batch.pictures, moment.rng
        words = networks.words(moment.batch.ids)[1]
        spread, described = networks.encoder(real)
        noise = torch.randn(2, *spread.mean.shape, generator=rng)
        seeds = spread.drawn(noise[0])
        told = spread_words(words, seeds)
        terms = {
            "prior": moment.prior * prior(spread),
            "agreement": weights.agreement * agreement(described, words, moment.batch.alike),
        }
        if moment.heard:
            other = torch.where(torch.arange(len(real))[:, None, None, None] % 2 == 0, noise[1], seeds.detach())
            again, made = networks.generator(torch.cat([seeds, other]), torch.cat([told, told])).chunk(2)
            terms |= self._as_judged(moment, words.detach(), again, made)
        else:
            again = made = networks.generator(seeds, told)
        terms["pixels"] = weights.pixels * functional.l1_loss(again, real)
        loss = torch.stack(list(terms.values())).sum()
        self.run.learn(loss, moment.factor, config.batch)
        return {"loss": float(loss.detach())} | {name: float(term.detach()) for name, term in terms.items()}, made.detach()

    def _as_judged(self, moment: Moment, words: torch.Tensor, again: torch.Tensor, made: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the critic, which learns nothing by it, has to say of pictures that came back and of pictures that were made."""
        config, critic, weights = self.config, self.networks.critic, self.config.loss
        critic.requires_grad_(False)
        with torch.no_grad():
            wanted = critic(moment.batch.pictures, words).features
        far = likeness(critic(again, words).features, wanted)
        told = maker_loss(critic(augmented(made, config.augment, moment.rng), words).score, weights.adversary)
        critic.requires_grad_(True)
        return {"likeness": moment.heard * weights.likeness * far, "adversarial": moment.heard * weights.adversarial * told}

    def _teach_critic(self, moment: Moment, made: torch.Tensor) -> float:
        """One step of the critic, which takes the words as the makers have them."""
        config, networks = self.config, self.networks
        real, rng = moment.batch.pictures, moment.rng
        with torch.no_grad():
            words, wrong = networks.words(torch.cat([moment.batch.ids, moment.batch.wrong]))[1].chunk(2)
        seen, faked = (augmented(pictures, config.augment, rng) for pictures in (real, made))
        judged = networks.critic(torch.cat([seen, seen, faked]), torch.cat([words, wrong, words]))
        loss = critic_loss(Scores(*judged.score.chunk(3)), config.loss.adversary)
        if config.loss.adversary == "wasserstein":
            shares = torch.rand(len(real), generator=rng)
            loss = loss + config.loss.penalty * slope_penalty(lambda x: networks.critic(x, words).score, seen, faked, shares)
        descend(self.run.optimiser, [networks.critic], loss, moment.factor)
        return float(loss.detach())

    def _begun(self, start: Path | None) -> tuple[Networks, dict[str, Any]]:
        network, out = self.config.network, self.config.out
        if start is not None:
            painter, record = FILE.begin(start, network, out)
            return Networks.beside(painter), record
        request = Request(Universe.PROMPTS, 16, self.config.data.materials)
        captions = (draw(self.source, request, self.config.seed, i)[1] for i in range(self.config.data.captions))
        words = kept(out, captions, vocabulary=network.vocabulary, length=network.length)
        return Networks.beside(Painter.new(network, words)), {}


@contextmanager
def wrapping(networks: list[Any], *, wrap: bool) -> Iterator[None]:
    """Networks whose pictures wrap around on both axes, for as long as the block lasts."""
    paddings = [make_seamless(network, wrap, wrap) for network in networks]
    try:
        yield
    finally:
        for padding in paddings:
            padding.eject()


def train_vaegan(source: CaptionedSource, config: VaeganConfig, start: Path | None = None) -> Path:
    """Train until the configuration's steps or time are up, from the networks in `start` or from nothing; the answer is the file."""
    training = Training(source, config)
    with ExitStack() as stack:
        stack.enter_context(training.run.opened())
        training.prepare(start)
        if config.data.workers:
            stack.callback(start_beside(grow_renders, training.source, training.store, training.request, config.data.target).terminate)
        training.loop()
    return config.out / WEIGHTS
