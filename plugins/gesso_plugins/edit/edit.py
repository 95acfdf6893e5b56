"""The operation `edit`: plans a region, has it painted by `generate`, and lays it into the picture so that the border cannot be seen."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gesso.engine import All, Host
from gesso.errors import InvalidRequest
from gesso.media import Output
from gesso.model import ModelCard
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso.plugin.choosing import alone, candidates, choose, settled
from gesso.plugin.sampling import check_seeds, settled_sampling
from gesso.plugin.steering import check_regions, controls
from gesso.plugin.styling import styled
from gesso_plugins.edit.params import EditParams
from gesso_plugins.edit.presets import preset
from gesso_plugins.edit.region import Finished, Pixels, Region, Shown, face, finish, halfway, merged, prepare, warn_of_tables
from gesso_plugins.edit.steering import Frame, Steering, files, steering

CAPABILITY = "encode_image"
REFINE = 0.4
"""Strength of what comes after the first pass: the second pass at the working size, and the second try at a border."""
VISIBLE = 0.02
"""Mean error on the ring around the mask (of values in 0..1) above which the border is tried once more."""
PAINTS = frozenset({"denoise", "next_tokens"})
PASSED_ON = (
    "prompt", "negative", "model", "steps", "guidance", "sampler", "schedule", "temperature", "top_k", "top_p", "options",
)  # fmt: skip
SAID_OF_CONTROLS = ("control_strength", "control_start", "control_end")


class Edit:
    """Changes what a mask covers: fills, replaces, removes, extends. Pixels that the mask leaves black come back byte for byte."""

    name: ClassVar[str] = "edit"
    title: ClassVar[str] = "Edit"
    Params: ClassVar[type[OperationParams]] = EditParams

    def resolve(self, ctx: ResolveContext, params: EditParams) -> EditParams:
        """The model and what it samples with; the picture itself is looked at when the job runs."""
        params = styled(ctx, preset(params))
        card = ctx.model(params.model, capability=CAPABILITY)
        if not card.capabilities & PAINTS:
            raise InvalidRequest(f"The model {card.name!r} cannot paint into a picture.", field="model", hint="Choose another model.")
        check_seeds(params)
        check_regions(params)
        filled = {**settled_sampling(ctx, card, params), **controls(ctx, card, params), **settled(ctx, params)}
        return params.model_copy(update={"model": card.name, **filled})

    def run(self, ctx: JobContext, params: EditParams) -> Generator[Any, Any, list[Output]]:
        """All results at once; scorers look at the surroundings with the result in them."""
        card: ModelCard = ctx.model(params.model, capability=CAPABILITY)
        mask = None if params.mask is None else ctx.blob(params.mask.sha256)
        region: Region = yield Host(prepare, (ctx.blob(params.image.sha256), mask, params, card))
        warn_of_tables(ctx, region.document)
        task = Task(ctx, params, region, (yield Host(steering, (*files(ctx, params), _frame(region, params)))))
        made = yield All(*(_result(task, i) for i in range(candidates(params))))
        return (yield from choose(ctx, params, [output for output, _ in made], [seen for _, seen in made if seen is not None]))


@dataclass(frozen=True)
class Task:
    """What the results of one job share."""

    ctx: JobContext
    params: EditParams
    region: Region
    steering: Steering


def _frame(region: Region, params: EditParams) -> Frame:
    """Where the picture lies in its grown canvas, and what of that the model is shown."""
    width, height = region.document.size
    before = (width - params.left - params.right, height - params.top - params.bottom)
    return Frame(before, (width, height), params.left, params.top, region.geometry.context)


def _result(task: Task, index: int) -> Generator[Any, Any, tuple[Output, npt.NDArray[np.uint8] | None]]:
    """A result, and what scorers see of it, where there are any."""
    params, region = task.params, task.region
    assert params.seed is not None
    seed = params.seed + index
    painted = yield from _painted(task, seed)
    done: Finished = yield Host(finish, (region, painted.pixels, params))
    tries = 1
    if params.match_border and done.after.values > VISIBLE:
        _, again = yield from _pass(task, Pass(region.geometry.working, seed, REFINE, merged(region, done.mended)))
        second: Finished = yield Host(finish, (region, again.pixels, params))
        tries, done = 2, min(done, second, key=lambda finished: finished.after.values)
    document = region.document
    output = Output(
        pixels=done.pixels,
        role="image",
        index=index,
        seed=seed,
        params=alone(params, seed),
        model=painted.model,
        info={"labels": painted.info.get("labels", {}), "measured": _measured(region, done, tries)},
        kind=document.returned,
        profile=document.profile,
        associated=document.associated and params.returns != "layer",
    )
    return output, (yield Host(face, (region, done.mended))) if params.score else None


def _painted(task: Task, seed: int) -> Generator[Any, Any, Output]:
    """What the model makes of the context: in one pass, or small first and refined at the working size."""
    params, region, geometry = task.params, task.region, task.region.geometry
    shown, first = yield from _pass(task, Pass(geometry.first, seed, params.strength))
    if not geometry.two_passes:
        return first
    small: Pixels = yield Host(halfway, (region, shown, first.pixels, params))
    _, second = yield from _pass(task, Pass(geometry.working, seed, min(params.strength, REFINE), small))
    return second


@dataclass(frozen=True)
class Pass:
    """One run of `generate`: the size that the model makes, the seed, how much is redone, and of which picture (None: the document)."""

    size: tuple[int, int]
    seed: int
    strength: float
    picture: Pixels | None = None


def _pass(task: Task, how: Pass) -> Generator[Any, Any, tuple[Shown, Output]]:
    """One run of `generate` on the context; what the model was shown, and what it made."""
    shown: Shown = yield Host(Region.shown, (task.region, how.size, how.picture))
    asked: Mapping[str, Any] = {
        **{name: getattr(task.params, name) for name in (*PASSED_ON, *SAID_OF_CONTROLS)},
        **task.steering.shown(task.ctx, task.params, how.size),
        "width": how.size[0],
        "height": how.size[1],
        "seed": how.seed,
        "strength": how.strength,
        "image": task.ctx.keep(shown.picture),
        "mask": task.ctx.keep(shown.mask),
        "paste": False,
        "bits": 16,
    }
    (output,) = yield from task.ctx.operation("generate", asked)
    return shown, output


def _measured(region: Region, done: Finished, tries: int) -> dict[str, Any]:
    """For the result: where it is, and how well the border fits."""
    box, context, margins = done.box, region.geometry.context, region.geometry.margins
    return {
        "box": [box.x, box.y, box.width, box.height],
        "context": [context.x, context.y, context.width, context.height],
        "working_size": list(region.geometry.working),
        "passes": 2 if region.geometry.two_passes else 1,
        "grow": margins.grow,
        "feather": margins.feather,
        "blend": margins.blend,
        "border_before": round(done.before.values, 5),
        "border_after": round(done.after.values, 5),
        "border_delta_e_before": round(done.before.delta_e, 3),
        "border_delta_e_after": round(done.after.delta_e, 3),
        "border_gradient_before": round(done.before.steps, 6),
        "border_gradient_after": round(done.after.steps, 6),
        "tries": tries,
    }
