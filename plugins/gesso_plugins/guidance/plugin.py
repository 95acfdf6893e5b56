"""Registers the guidances. It is the only file of this plugin that knows hooks."""

from __future__ import annotations

from gesso.plugin import GuidanceSpec, hookimpl
from gesso_plugins.guidance.classifier_free import classifier_free
from gesso_plugins.guidance.dynamic_thresholding import dynamic_thresholding
from gesso_plugins.guidance.perturbed_attention import perturbed_attention
from gesso_plugins.guidance.rescale import rescale
from gesso_plugins.guidance.skip_layer import skip_layer

GUIDANCES = (classifier_free, perturbed_attention, skip_layer, rescale, dynamic_thresholding)


@hookimpl
def gesso_guidance() -> tuple[GuidanceSpec, ...]:
    """All guidances of this plugin."""
    return GUIDANCES
