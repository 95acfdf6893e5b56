"""The operation `edit`: plans a region, has it painted by `generate`, and lays it into the picture so that the border cannot be seen."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from gesso.engine import All, Host
from gesso.errors import InvalidRequest
from gesso.media import Output
from gesso.model import ModelCard
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso.plugin.fields import SEED_MAX
from gesso_plugins.edit.params import EditParams
from gesso_plugins.edit.region import Finished, Pixels, Region, finish, prepare

CAPABILITY = "encode_image"
REFINE = 0.4
"""Strength of what comes after the first pass: the second pass at the working size, and the second try at a border."""
VISIBLE = 0.02
"""Mean error on the ring around the mask (of values in 0..1) above which the border is tried once more."""
KEPT: Mapping[str, Literal["tiff", "exr"]] = {"tiff": "tiff", "exr": "exr"}
"""Documents that come back as the file that they were; the others come back as PNG."""
PASSED_ON = ("prompt", "negative", "model", "steps", "guidance", "sampler", "schedule", "options")


class Edit:
    """Changes what a mask covers: fills, replaces, removes, extends. Pixels that the mask leaves black come back byte for byte."""

    name: ClassVar[str] = "edit"
    title: ClassVar[str] = "Edit"
    Params: ClassVar[type[OperationParams]] = EditParams

    def resolve(self, ctx: ResolveContext, params: EditParams) -> EditParams:
        """The model and what it samples with; the picture itself is looked at when the job runs."""
        card = ctx.model(params.model, capability=CAPABILITY)
        if "denoise" not in card.capabilities:
            raise InvalidRequest(f"The model {card.name!r} cannot paint into a picture.", field="model", hint="Choose another model.")
        if params.seed is None:
            raise InvalidRequest("The seed is missing. A job's seed is chosen before it is resolved.", field="seed")
        if params.seed + params.count - 1 > SEED_MAX:
            raise InvalidRequest(f"The seed of the last result would be over {SEED_MAX}; choose a smaller seed.", field="seed")
        sampler, schedule = ctx.sampling(params.sampler or card.defaults.sampler, params.schedule)
        return params.model_copy(
            update={
                "model": card.name,
                "sampler": sampler,
                "schedule": ctx.schedule(schedule or card.defaults.schedule).name,
                "steps": card.defaults.steps if params.steps is None else params.steps,
                "guidance": card.defaults.guidance if params.guidance is None else params.guidance,
            }
        )

    def run(self, ctx: JobContext, params: EditParams) -> Generator[Any, Any, list[Output]]:
        """All results at once."""
        card: ModelCard = ctx.model(params.model, capability=CAPABILITY)
        mask = None if params.mask is None else ctx.blob(params.mask.sha256)
        region: Region = yield Host(prepare, (ctx.blob(params.image.sha256), mask, params, card))
        if region.document.profile.matrix is None:
            ctx.warn(f"The colour profile {region.document.profile.name!r} is a table: the edited part went through 8 bits.")
        return list((yield All(*(_result(ctx, params, region, i) for i in range(params.count)))))


def _result(ctx: JobContext, params: EditParams, region: Region, index: int) -> Generator[Any, Any, Output]:
    assert params.seed is not None
    seed = params.seed + index
    painted = yield from _painted(ctx, params, region, seed)
    done: Finished = yield Host(finish, (region, painted.pixels, params))
    tries = 1
    if params.match_border and done.after.values > VISIBLE:
        again = yield from _pass(ctx, params, region, Pass(region.geometry.working, seed, REFINE, done.merged))
        second: Finished = yield Host(finish, (region, again.pixels, params))
        tries, done = 2, min(done, second, key=lambda finished: finished.after.values)
    document = region.document
    return Output(
        pixels=done.pixels,
        role="image",
        index=index,
        seed=seed,
        params=params.model_copy(update={"count": 1, "seed": seed}).model_dump(mode="json"),
        model=painted.model,
        info={"labels": painted.info.get("labels", {}), "measured": _measured(region, done, tries)},
        kind=KEPT.get(document.kind, "png"),
        profile=document.profile,
    )


def _painted(ctx: JobContext, params: EditParams, region: Region, seed: int) -> Generator[Any, Any, Output]:
    """What the model makes of the context: in one pass, or small first and refined at the working size."""
    geometry = region.geometry
    first = yield from _pass(ctx, params, region, Pass(geometry.first, seed, params.strength))
    if not geometry.two_passes:
        return first
    small: Finished = yield Host(finish, (region, first.pixels, params))
    return (yield from _pass(ctx, params, region, Pass(geometry.working, seed, min(params.strength, REFINE), small.merged)))


@dataclass(frozen=True)
class Pass:
    """One run of `generate`: the size that the model makes, the seed, how much is redone, and of which picture (None: the document)."""

    size: tuple[int, int]
    seed: int
    strength: float
    picture: Pixels | None = None


def _pass(ctx: JobContext, params: EditParams, region: Region, how: Pass) -> Generator[Any, Any, Output]:
    """One run of `generate` on the context."""
    image, mask = yield Host(Region.shown, (region, how.size, how.picture))
    asked: Mapping[str, Any] = {
        **{name: getattr(params, name) for name in PASSED_ON},
        "prompt": params.prompt if params.prompt.strip() else "texture",
        "width": how.size[0],
        "height": how.size[1],
        "seed": how.seed,
        "strength": how.strength,
        "image": ctx.keep(image),
        "mask": ctx.keep(mask),
    }
    (output,) = yield from ctx.operation("generate", asked)
    made: Output = output
    return made


def _measured(region: Region, done: Finished, tries: int) -> dict[str, Any]:
    """For the result: where it is, and how well the border fits."""
    box, margins = region.geometry.context, region.geometry.margins
    return {
        "box": [box.x, box.y, box.width, box.height],
        "working_size": list(region.geometry.working),
        "passes": 2 if region.geometry.two_passes else 1,
        "grow": margins.grow,
        "feather": margins.feather,
        "blend": margins.blend,
        "border_before": round(done.before.values, 5),
        "border_after": round(done.after.values, 5),
        "tries": tries,
    }
