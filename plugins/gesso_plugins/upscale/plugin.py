"""Registers the operation `upscale` and its upscalers. It is the only file of this plugin that knows hooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gesso.plugin import Operation, UpscalerSpec, hookimpl


@hookimpl
def gesso_operations() -> Iterable[Operation[Any]]:
    """The operation `upscale`."""
    from gesso_plugins.upscale.upscale import Upscale

    return [Upscale()]


@hookimpl
def gesso_upscalers() -> Iterable[UpscalerSpec]:
    """Lanczos, back-projection, and one that paints detail with a model."""
    from gesso_plugins.upscale.classical import back_projection, lanczos
    from gesso_plugins.upscale.diffusion import tiled_diffusion

    return [lanczos, back_projection, tiled_diffusion]
