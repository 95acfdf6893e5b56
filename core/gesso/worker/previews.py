"""Which plugin draws the previews of which model. It draws nothing itself."""

from __future__ import annotations

import logging

import torch

from gesso.device.residency import ModelPool
from gesso.engine import ModelRef
from gesso.plugin import PreviewContext, PreviewSpec, Registry
from gesso.plugin.previews import Draw

_log = logging.getLogger(__name__)


class Previewers:
    """Asks once for each model. A plugin that fails is passed over, so that the next may draw."""

    def __init__(self, models: ModelPool) -> None:
        self._models = models
        self._found: dict[str, Draw | None] = {}

    def forget(self) -> None:
        """Ask again: the plugins have changed."""
        self._found.clear()

    def drawer(self, registry: Registry, ref: ModelRef) -> Draw | None:
        """How to draw this model's latents; None where no plugin can."""
        if ref.digest not in self._found:
            ordered = sorted(registry.previews, key=lambda spec: (spec.order, spec.name))
            self._found[ref.digest] = next((draw for spec in ordered if (draw := self._asked(registry, spec, ref)) is not None), None)
        return self._found[ref.digest]

    def _asked(self, registry: Registry, spec: PreviewSpec, ref: ModelRef) -> Draw | None:
        try:
            with self._models.using(ref) as model, torch.no_grad():
                return spec.function(PreviewContext(model, registry.options_of("previews", spec.name)))
        except (Exception, SystemExit):
            _log.exception("the preview %s cannot draw the model %s", spec.name, ref.name)
            return None
