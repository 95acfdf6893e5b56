"""The type of a sampler, and the reply with classifier-free guidance taken apart. No algorithm lives here."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.engine import Denoised

    Steps: TypeAlias = Generator[tuple[Tensor, float], Denoised, Tensor]
    """A sampler at work: yields (x, sigma), receives `Denoised`, returns x."""


def guided(reply: Denoised, cfg_pp: bool) -> tuple[Tensor, Tensor | float]:
    """(prediction that the solver follows, what is then added to its x0): (D, 0), or (U, D - U) for CFG++.

    CFG++ (Chung et al. 2024) takes the clean image from the guided prediction D, but the noise from the unconditional
    one, U: x' = alpha' D + sigma' (x - alpha U) / sigma. That is the unconditional DDIM step plus alpha' (D - U). The same split turns any
    solver in data prediction into its CFG++ form: it follows the unconditional ODE, and each step adds alpha' (D - U).
    """
    if not cfg_pp:
        return reply.denoised, 0.0
    return reply.uncond, reply.denoised - reply.uncond
