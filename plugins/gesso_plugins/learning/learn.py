"""The operation `learn`: pictures in, a LoRA out that the next prompt can name. Each step is one call, so the job gives way at every step;
where it stands is kept in the job's own folder, so it goes on after its worker died.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from gesso.engine import All, Apply, Emit, EncodeImage, EncodeText, Host, ModelRef, Preview, Progress
from gesso.errors import ModelError
from gesso.media import Output
from gesso.media.images import Picture
from gesso.model import Factors, ModelCard, Plan, Seamless
from gesso.plugin import JobContext, OperationParams, Places, ResolveContext
from gesso.training.rate import rate
from gesso_plugins.learning.base import CAPABILITY, refuse_unteachable
from gesso_plugins.learning.data import Sample, read_pictures
from gesso_plugins.learning.lessons import Example, Examples, draw, told, wraps
from gesso_plugins.learning.lora import About, lora_file
from gesso_plugins.learning.params import LearnParams
from gesso_plugins.learning.pupil import Pupil
from gesso_plugins.learning.recipe import digest
from gesso_plugins.learning.shelf import shelve

SAVE_EVERY, PREVIEW_EVERY = 20, 5
"""Steps between two checkpoints, and between two looks."""


class Learn:
    """Learns a style, a material or a motif from a few pictures, and keeps it as a LoRA."""

    name: ClassVar[str] = "learn"
    title: ClassVar[str] = "Learn a style"
    Params: ClassVar[type[OperationParams]] = LearnParams
    patient: ClassVar[bool] = True

    def resolve(self, ctx: ResolveContext, params: LearnParams) -> LearnParams:
        """The model by its name."""
        card = ctx.model(params.model, capability=None if params.model else CAPABILITY)
        refuse_unteachable(card)
        return params.model_copy(update={"model": card.name, "prompt": " ".join(params.prompt.split()) or params.prompt})

    def run(self, ctx: JobContext, params: LearnParams) -> Generator[Any, Any, list[Output]]:
        """Learn, keep it, and show what the model makes of the words now."""
        if ctx.places.models is None:
            raise ModelError("This worker keeps no list of models, so that nothing learned could be found again.")
        card = ctx.model(params.model)
        work = Work(ctx.places, card, params)
        contents = [ctx.blob(image.sha256) for image in params.images]
        samples = yield Host(_samples, (contents, params, card))
        pupil, loss = yield from _taught(work, (yield from _examples(work, samples)))
        tensors = yield Apply(work.model, "lora_tensors", {"factors": pupil.factors})
        name = yield Host(_kept, (work, tensors, len(samples)))
        asked = {"prompt": params.prompt, "model": card.name, "lora": {name: 1.0}, "tile": params.tile, "seed": params.seed}
        (made,) = yield from ctx.operation("generate", asked)
        assert params.seed is not None
        measured = {"lora": name, "loss": round(loss, 5), "words": params.prompt}
        return [Output(made.pixels, "image", 0, params.seed, params.model_dump(mode="json"), card.name, info={"measured": measured})]


@dataclass(frozen=True)
class Work:
    """What all parts of one job know."""

    places: Places
    card: ModelCard
    params: LearnParams

    @property
    def model(self) -> ModelRef:
        """The base."""
        return ModelRef(self.card.name, self.card.digest)

    @property
    def job(self) -> str:
        """A name of everything that decides the result."""
        return digest([self.params.model_dump(mode="json"), self.card.digest])

    @property
    def checkpoint(self) -> Path | None:
        """Where the job's state lies."""
        return self.places.folder and self.places.folder / "checkpoint"


def _examples(work: Work, samples: list[Sample]) -> Generator[Any, Any, Examples]:
    """Pictures and words as the model has them."""
    across, down = wraps(work.params.tile)
    patches = (Seamless(across, down),) if across or down else ()
    latents = yield All(*(EncodeImage(model=work.model, image=sample.image, patches=patches) for sample in samples))
    blank, cond = (told(each, work.card) for each in (yield EncodeText(model=work.model, texts=("", work.params.prompt))))
    return Examples(tuple(Example(latent, cond) for latent in latents), blank)


def _taught(work: Work, examples: Examples) -> Generator[Any, Any, tuple[Pupil, float]]:
    """The LoRA after all steps, and the mean loss of the last ones."""
    recipe, checkpoint = work.params.recipe, work.checkpoint
    plan = Plan(recipe.rank, recipe.alpha, recipe.layers, recipe.seed)
    factors: Factors = yield Apply(work.model, "plan_lora", {"plan": plan})
    pupil, begun, mean = Pupil(factors, recipe.learning_rate), 0, 0.0
    if checkpoint is not None:
        facts = yield Host(pupil.restore, (checkpoint,))
        begun, mean = (facts["step"], facts["mean"]) if facts is not None else (0, 0.0)
    for step in range(begun, recipe.steps):
        lesson = yield Host(draw, (examples, work.card, recipe, step))
        factor = rate(step, warmup=recipe.warmup, steps=recipe.steps, final=recipe.final_rate)
        loss, x0 = yield Apply(work.model, "learn_lora", {"pupil": pupil, "lesson": lesson, "factor": factor})
        done = step + 1
        mean += (loss - mean) / min(done, SAVE_EVERY)
        yield Emit(Progress(0, done, recipe.steps, float(lesson.sigmas[0]), done / recipe.steps))
        if done % PREVIEW_EVERY == 0:
            yield Emit(Preview(0, work.model, x0))
        if done % SAVE_EVERY == 0 and checkpoint is not None:
            yield Host(partial(pupil.save, checkpoint), ({"step": done, "mean": mean},))
    return pupil, mean


def _samples(contents: list[Picture], params: LearnParams, card: ModelCard) -> list[Sample]:
    given = [(f"picture {number}", partial(_same, content), params.prompt) for number, content in enumerate(contents, 1)]
    return read_pictures(given, "the job", card, params.size)


def _same(content: Picture) -> Picture:
    return content


def _kept(work: Work, tensors: dict[str, Any], pictures: int) -> str:
    """Write the LoRA down and put it on the owner's list."""
    params = work.params
    assert work.places.models is not None
    title = params.name or params.prompt[:60]
    about = About(title, params.prompt, work.card, params.recipe, params.steps, pictures, work.job)
    return shelve(work.places.models, title, work.job, lora_file(tensors, about))
