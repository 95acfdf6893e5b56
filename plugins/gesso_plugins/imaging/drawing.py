"""Pictures of models that draw: noise with the prompt's vector at each place of it, and one forward."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch

from gesso.engine import All, Decode, Emit, EncodeText, Host, Load, ModelRef, Progress
from gesso.math import initial_noise
from gesso.media import Output, images
from gesso.media.seam import seams
from gesso.model import ModelCard, Patch, Seamless
from gesso.plugin.choosing import alone, candidates
from gesso_plugins.imaging.params import GenerateParams


def draw_all(card: ModelCard, params: GenerateParams) -> Generator[Any, Any, list[Output]]:
    """All pictures of a job, one generator each; their forwards are shared with those of other jobs."""
    model = ModelRef(card.name, card.digest)
    yield Load(model)
    ((cond,),) = yield All(EncodeText(model, (params.prompt,)))
    return list((yield All(*(_draw(card, params, cond.pooled, index) for index in range(candidates(params))))))


def _draw(card: ModelCard, params: GenerateParams, words: torch.Tensor, index: int) -> Generator[Any, Any, Output]:
    assert params.seed is not None
    assert card.latent is not None
    seed = params.seed + index
    noise = initial_noise((1, *card.latent.shape(params.width or 0, params.height or 0)), seed)
    told = words.to(noise)[:, :, None, None].expand(-1, -1, *noise.shape[2:])
    wraps = "x" in params.tile, "y" in params.tile
    patches: tuple[Patch, ...] = (Seamless(*wraps),) if any(wraps) else ()
    image = yield Decode(ModelRef(card.name, card.digest), torch.cat([noise, told], 1), patches)
    yield Emit(Progress(index, 1, 1, 0.0, 1.0))
    pixels = images.to_samples(image, params.bits)
    seam = {} if params.tile == "none" else {"seam": (yield Host(seams, (pixels, params.tile)))}
    info = {"measured": seam}
    return Output(pixels=pixels, role="image", index=index, seed=seed, params=alone(params, seed), model=card.name, info=info)
