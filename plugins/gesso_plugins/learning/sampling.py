"""Pictures while a LoRA is learned, in this process: Euler's method with guidance, for a look. Jobs of the daemon use real samplers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from gesso.media.images import to_uint8
from gesso.model import Conditioning, Factors
from gesso_plugins.learning.base import Base

STEPS, GUIDANCE = 20, 3.0


@torch.no_grad()
def look(
    model: Base, factors: Factors, words: tuple[Conditioning, Conditioning], seed: int, wraps: tuple[bool, bool]
) -> npt.NDArray[np.uint8]:
    """One picture of ``words`` (the prompt, and none) at the model's own size, uint8 (H, W, 3).

    Karras et al. 2022, arXiv 2206.00364, eq. 5: ``dx/dsigma = (x - x0) / sigma``; a flow's velocity is the same expression.
    """
    card = model.card
    width, height = card.defaults.width, card.defaults.height
    levels = card.levels(width, height)
    places = np.linspace(len(levels.sigmas) - 1, 0, STEPS).round().astype(int)
    sigmas = [*(levels.sigmas[place] for place in places), 0.0]
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((1, *model.latent_shape(width, height)), generator=generator)
    x = noise if levels.is_flow else noise * sigmas[0]
    with model.wearing(factors, wraps):
        for sigma, following in pairwise(sigmas):
            rows = [model.denoise(x, torch.tensor([sigma]), cond).to("cpu") for cond in words]
            x0 = rows[1] + GUIDANCE * (rows[0] - rows[1])
            x = x + (x - x0) / sigma * (following - sigma)
        return to_uint8(model.decode(x))
