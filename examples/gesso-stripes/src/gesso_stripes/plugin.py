"""A family of models that render stripes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gesso.manifest import ModelEntry
from gesso.media import Rendered
from gesso.model import Family, Limits, Model, ModelCard, Patch
from gesso.plugin import PluginContext, hookimpl


class Stripes:
    """The loaded model: it can `render`. It has no weights, so there is nothing to keep on a device."""

    methods: Mapping[str, bool] = {"render": True}
    nbytes = 0

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def patched(self, patches: Sequence[Patch]) -> contextlib.AbstractContextManager[None]:
        """There is nothing to patch."""
        return contextlib.nullcontext()

    def apply(self, method: str, inputs: Mapping[str, Any]) -> Rendered:
        """Eight stripes across the width, in colours drawn from the seed; they wrap around without a seam."""
        colours = np.random.default_rng(inputs["seed"]).integers(0, 256, (2, 3), np.uint8)
        stripe = np.arange(inputs["width"]) * 8 // inputs["width"] % 2
        row = colours[stripe]
        return Rendered(np.repeat(row[None], inputs["height"], axis=0))


class StripesFamily:
    """Describes and loads models of this kind."""

    name = "stripes"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card, without loading anything. The digest names what decides the picture: here, the version of the algorithm."""
        limits = Limits(smallest=16, largest=4096, multiple=8)
        return ModelCard(entry.name, self.name, "stripes-1", entry.title, None, frozenset({"render"}), limits=limits)

    def load(self, card: ModelCard, on: torch.device) -> Model:
        """The model itself."""
        return Stripes(card)


@hookimpl
def gesso_families(ctx: PluginContext) -> Iterable[Family]:
    """What this plugin adds to the list of model families."""
    return [StripesFamily()]
