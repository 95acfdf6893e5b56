"""Pictures larger than a model makes at once: their windows, and what is left to the model itself. It samples nothing."""

from __future__ import annotations

from gesso.engine import Windows
from gesso.model import ModelCard, Parametrisation
from gesso_plugins.imaging.params import GenerateParams


def levels_of(card: ModelCard, params: GenerateParams) -> Parametrisation:
    """The noise levels of what the model makes at once."""
    width, height = (min(side or 0, params.window or side or 0) for side in (params.width, params.height))
    return card.levels(width, height)


def windows_of(card: ModelCard, params: GenerateParams) -> Windows | None:
    """The windows, where one does not hold the picture."""
    if params.window is None or max(params.width or 0, params.height or 0) <= params.window:
        return None
    assert card.latent is not None
    _, height, width = card.latent.shape(params.width or 0, params.height or 0)
    return Windows(height, width, params.window // card.latent.factor, ("x" in params.tile, "y" in params.tile))


def wrapping(params: GenerateParams) -> tuple[bool, bool]:
    """The axes along which the model itself must wrap: those of ``tile`` that no window cuts."""
    whole = params.window or max(params.width or 0, params.height or 0)
    return "x" in params.tile and (params.width or 0) <= whole, "y" in params.tile and (params.height or 0) <= whole
