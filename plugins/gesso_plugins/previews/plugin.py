"""Registers the preview that every latent model can have: one matrix product and a resize, where the model's family fitted a matrix."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from gesso.media import preview as pictures
from gesso.model import Denoises
from gesso.plugin import PreviewContext, PreviewSpec, hookimpl, preview
from gesso.plugin.previews import Draw


@preview("latent_rgb", title="Latent to RGB", order=90)
def latent_rgb(ctx: PreviewContext) -> Draw | None:
    """The model's matrix (C + 1, 3), fitted by least squares; enlarged to at most 256 pixels."""
    latent = ctx.model.card.latent
    if latent is None or not isinstance(ctx.model, Denoises):
        return None
    matrix = ctx.model.preview_matrix().to("cpu", torch.float32)
    return lambda x0: pictures.enlarged(pictures.project(x0, matrix), latent.factor)


@hookimpl
def gesso_previews() -> Iterable[PreviewSpec]:
    """The linear preview; plugins with a better one name a lower order."""
    return [latent_rgb]
