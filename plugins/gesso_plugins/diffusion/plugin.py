"""Registers the families of latent diffusion models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gesso.plugin import hookimpl

if TYPE_CHECKING:
    from gesso.model import Family


@hookimpl
def gesso_families() -> Iterable[Family]:
    """Stable Diffusion 1.x and 2.x."""
    from gesso_plugins.diffusion.stable_diffusion import StableDiffusionFamily

    return [StableDiffusionFamily()]
