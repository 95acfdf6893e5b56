"""Pictures of models that paint by a program of their own: a step a call, so that others come in between and a cancel is heard at once."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from gesso.engine import All, Apply, Emit, Host, Load, ModelRef, Preview, Progress
from gesso.media import Output, images
from gesso.model import ModelCard, Stage
from gesso.plugin import JobContext
from gesso.plugin.choosing import alone, candidates
from gesso_plugins.imaging.params import GenerateParams


def paint_all(ctx: JobContext, card: ModelCard, params: GenerateParams) -> Generator[Any, Any, list[Output]]:
    """All pictures of a job, one generator each."""
    model = ModelRef(card.name, card.digest)
    yield Load(model)
    picture = None
    if params.image is not None:
        picture = yield Host(images.to_planes, (ctx.blob(params.image.sha256), params.width, params.height))
    return list((yield All(*(_paint(model, params, picture, index) for index in range(candidates(params))))))


def _paint(model: ModelRef, params: GenerateParams, picture: Tensor | None, index: int) -> Generator[Any, Any, Output]:
    assert params.seed is not None
    assert params.steps is not None
    seed = params.seed + index
    asked = {name: getattr(params, name) for name in ("prompt", "negative", "width", "height", "steps", "guidance")}
    painting = yield Apply(model, "begin", {**asked, "seed": seed, "image": picture})
    try:
        stage: Stage = yield Apply(model, "step", {"painting": painting})
        while stage.pixels is None:
            yield Emit(Progress(index, stage.step, params.steps, 0.0, min(stage.step / params.steps, 1.0)))
            if stage.latent is not None:
                yield Emit(Preview(index, model, stage.latent))
            stage = yield Apply(model, "step", {"painting": painting})
    finally:
        painting.close()
    return Output(pixels=stage.pixels, role="image", index=index, seed=seed, params=alone(params, seed), model=model.name)
