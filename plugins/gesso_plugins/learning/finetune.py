"""`finetune`: a LoRA from a folder of pictures, in this process. A run lives in one folder and goes on exactly where it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gesso.errors import InvalidRequest
from gesso.model import Plan
from gesso.training import ema
from gesso.training.arguments import has_checkpoint
from gesso.training.files import read_json, write_atomically
from gesso.training.rate import rate
from gesso.training.run import Chore, Run
from gesso.training.sheet import save_sheet
from gesso_plugins.learning.base import Base
from gesso_plugins.learning.config import FinetuneConfig
from gesso_plugins.learning.data import Sample, refuse_shared
from gesso_plugins.learning.lessons import Example, Examples, draw, held_out, told, wraps
from gesso_plugins.learning.lora import About, lora_file
from gesso_plugins.learning.pupil import Pupil
from gesso_plugins.learning.recipe import digest
from gesso_plugins.learning.sampling import look

LOOKED_AT = 4
"""Pictures on a sheet."""


@dataclass
class Learner(ema.Trained):
    """The factors, and the best that they were on held-out pictures, as the average and the checkpoint see them."""

    pupil: Pupil
    best: dict[str, torch.Tensor]

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Both."""
        return {f"{part}.{name}": value for part, own in self._parts.items() for name, value in own.items()}

    @property
    def _parts(self) -> dict[str, dict[str, torch.Tensor]]:
        return {"now": self.pupil.named_tensors(), "best": self.best}


class Finetuning:
    """One run: ``samples`` to learn from, ``unseen`` to stop by, and the LoRA file ``out``."""

    def __init__(self, model: Base, samples: Sequence[Sample], unseen: Sequence[Sample], config: FinetuneConfig, out: Path) -> None:
        refuse_shared(samples, unseen)
        self.model = model
        self.samples = samples
        self.unseen = unseen
        self.config = config
        self.out = out
        self.run = Run("lora", config)
        self.best_loss, self.stale = float("inf"), 0

    def prepare(self) -> None:
        """Latents and words, then where the run stood."""
        recipe, model = self.config.recipe, self.model
        blank, *conds = (told(cond, model.card) for cond in model.encode_text(["", *(sample.caption for sample in self.samples)]))
        self.examples = Examples(self._latents(self.samples, conds), blank)
        words = [told(cond, model.card) for cond in model.encode_text([sample.caption for sample in self.unseen])] if self.unseen else []
        self.tests = held_out(self._latents(self.unseen, words), model.card, recipe)
        pupil = Pupil(model.plan_lora(Plan(recipe.rank, recipe.alpha, recipe.layers, recipe.seed)), recipe.learning_rate)
        best = {name: value.clone() for name, value in pupil.named_tensors().items()} if self.tests else {}
        self.learner = Learner(pupil, best)
        self.run.train(self.learner, [pupil.factors], pupil.optimiser, self.config.ema)
        if has_checkpoint(self.config.out):
            self._refuse_other(read_json(self.config.out / "checkpoint" / "state.json")["run"])
        facts = self.run.resume()
        if facts is not None:
            self.best_loss, self.stale = float(facts["best_loss"]), int(facts["stale"])

    @torch.no_grad()
    def _latents(self, samples: Sequence[Sample], conds: Sequence[Any]) -> tuple[Example, ...]:
        model, tile = self.model, wraps(self.config.recipe.tile)
        factors = model.plan_lora(Plan(1, 1.0, "attention", 0))  # changes nothing; it is how a model is made to wrap around
        with model.wearing(factors, tile):
            latents = [model.encode_image(sample.image).to("cpu") for sample in samples]
        return tuple(Example(latent, cond) for latent, cond in zip(latents, conds, strict=True))

    def loop(self) -> None:
        """Step until the steps are done, the held-out pictures get no better, time is up or the process is asked to end."""
        config, steps = self.config, self.config.recipe.steps
        chores = [
            Chore(lambda: self.run.log(steps, f"{len(self.samples)} pictures"), steps=config.log_every),
            Chore(self.save_sheet, steps=config.sheet_every),
            Chore(self.save, minutes=config.save_minutes),
        ]
        if self.tests:
            chores.insert(0, Chore(self._validate, steps=config.validate_every))
        if self.stale < config.patience:
            self.run.loop(self._one_step, chores, steps)
        self.save()
        write_atomically(self.out, lambda temporary: _written(temporary, self.file()))

    def file(self) -> bytes:
        """The LoRA: the best on held-out pictures, where there are some, else the newest."""
        recipe, run = self.config.recipe, self.run
        words = self.samples[0].caption if len({sample.caption for sample in self.samples}) == 1 else ""
        about = About(self.out.stem, words, self.model.card, recipe, run.step, len(self.samples), digest(self._identity()))
        with run.average.applied():
            if self.best_loss < float("inf"):
                self.learner.pupil.load_tensors(self.learner.best)
            return lora_file(self.model.lora_tensors(self.learner.pupil.factors), about)

    def save(self) -> None:
        """The checkpoint."""
        facts = {"run": self._identity(), "best_loss": self.best_loss, "stale": self.stale}
        self.run.save(self.run.record() | facts)

    def save_sheet(self) -> None:
        """Pictures of the first captions."""
        captions = list(dict.fromkeys(sample.caption for sample in self.samples))
        captions = [captions[place % len(captions)] for place in range(LOOKED_AT)]
        conds = {sample.caption: example.cond for sample, example in zip(self.samples, self.examples.examples, strict=True)}
        tile, seed = wraps(self.config.recipe.tile), self.config.seed
        with self.run.average.applied():
            factors, blank = self.learner.pupil.factors, self.examples.blank
            made = [look(self.model, factors, (conds[text], blank), seed + place, tile) for place, text in enumerate(captions)]
        save_sheet(self.config.out / "sheets" / f"{self.run.step:05d}.webp", np.stack(made), captions, LOOKED_AT)

    def _one_step(self) -> dict[str, float]:
        recipe, step = self.config.recipe, self.run.step
        lesson = draw(self.examples, self.model.card, recipe, step)
        factor = rate(step, warmup=recipe.warmup, steps=recipe.steps, final=recipe.final_rate)
        loss, _ = self.model.lora_loss(self.learner.pupil.factors, lesson)
        with torch.enable_grad():
            self.run.learn(loss, factor, recipe.batch)
        return {"loss": float(loss.detach())}

    @torch.no_grad()
    def _validate(self) -> None:
        """The loss on held-out pictures; the run ends when it has not fallen for some time."""
        with self.run.average.applied():
            pupil = self.learner.pupil
            losses = [float(self.model.lora_loss(pupil.factors, lesson)[0].detach()) for lesson in self.tests]
            seen = {name: value.clone() for name, value in pupil.named_tensors().items()}
        loss = sum(losses) / len(losses)
        if loss < self.best_loss:
            self.best_loss, self.stale = loss, 0
            self.learner.best = seen
        else:
            self.stale += 1
        self.run.journal.record("lora", self.run.step, {"validation": loss}, samples=self.run.samples)
        if self.stale >= self.config.patience:
            self.run.journal.say(f"The held-out pictures get no better since {self.stale} looks: the run ends at step {self.run.step}.")
            self.run.clock.stop = True

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        pictures = [[sample.digest, sample.caption] for sample in (*self.samples, *self.unseen)]
        return {**self.config.recipe.as_json(), "ema": self.config.ema, "model": self.model.card.digest, "data": digest(pictures)}

    def _refuse_other(self, begun: dict[str, Any]) -> None:
        now = self._identity()
        other = next((name for name in now if begun.get(name) != now[name]), None)
        if other is None:
            return
        what = f"other {other}" if other == "data" else f"the {other.replace('_', ' ')} {begun.get(other)}, not {now[other]}"
        raise InvalidRequest(
            f"The run in {self.config.out} was begun with {what}: it cannot go on with another recipe.",
            field=other,
            hint="Say what it was begun with, or choose another --run for a new one.",
        )


def finetune(model: Base, samples: Sequence[Sample], unseen: Sequence[Sample], config: FinetuneConfig, out: Path) -> Path:
    """Learn until the steps are done or time is up; the answer is the LoRA file, of what was learned until then."""
    finetuning = Finetuning(model, samples, unseen, config, out)
    with finetuning.run.opened():
        finetuning.prepare()
        finetuning.loop()
    return out


def _written(path: Path, content: bytes) -> None:
    path.write_bytes(content)
