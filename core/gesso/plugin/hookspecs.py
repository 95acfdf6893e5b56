"""The hooks of Gesso, one page. Each receives one context and returns what it registers; all are called once, at start or reload."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from gesso.plugin.codecs import CodecSpec
from gesso.plugin.commands import CommandSpec
from gesso.plugin.context import PluginContext
from gesso.plugin.filters import FilterSpec
from gesso.plugin.lifecycle import Lifecycle
from gesso.plugin.previews import PreviewSpec
from gesso.plugin.scoring import ScorerSpec
from gesso.plugin.specs import GuidanceSpec, SamplerSpec, ScheduleSpec
from gesso.plugin.styles import StyleSpec
from gesso.plugin.upscaling import UpscalerSpec

if TYPE_CHECKING:
    from gesso.model import Family
    from gesso.plugin.datasets import CaptionedSource
    from gesso.plugin.judging import Judge
    from gesso.plugin.operations import Operation

hookspec = pluggy.HookspecMarker("gesso")
hookimpl = pluggy.HookimplMarker("gesso")


@hookspec
def gesso_samplers(ctx: PluginContext) -> Iterable[SamplerSpec]:
    """Samplers: generators over (x, sigmas)."""
    raise NotImplementedError


@hookspec
def gesso_schedules(ctx: PluginContext) -> Iterable[ScheduleSpec]:
    """Schedules: functions that give the noise levels."""
    raise NotImplementedError


@hookspec
def gesso_guidance(ctx: PluginContext) -> Iterable[GuidanceSpec]:
    """Guidances: generators that lead a prediction away from others."""
    raise NotImplementedError


@hookspec
def gesso_operations(ctx: PluginContext) -> Iterable[Operation[Any]]:
    """Operations: what a client can ask for."""
    raise NotImplementedError


@hookspec
def gesso_families(ctx: PluginContext) -> Iterable[Family]:
    """Model families: how to describe and load one kind of model."""
    raise NotImplementedError


@hookspec
def gesso_scorers(ctx: PluginContext) -> Iterable[ScorerSpec]:
    """Scorers: generators that say how good pictures are."""
    raise NotImplementedError


@hookspec
def gesso_styles(ctx: PluginContext) -> Iterable[StyleSpec]:
    """Styles: named bundles of prompt, negative prompt and settings."""
    raise NotImplementedError


@hookspec
def gesso_upscalers(ctx: PluginContext) -> Iterable[UpscalerSpec]:
    """Upscalers: generators that make a picture larger."""
    raise NotImplementedError


@hookspec
def gesso_previews(ctx: PluginContext) -> Iterable[PreviewSpec]:
    """Previews: how to draw a latent while it is being made."""
    raise NotImplementedError


@hookspec
def gesso_codecs(ctx: PluginContext) -> Iterable[CodecSpec]:
    """Codecs: how a finished picture becomes a file."""
    raise NotImplementedError


@hookspec
def gesso_filters(ctx: PluginContext) -> Iterable[FilterSpec]:
    """Filters: what looks at every request before, and at every result after generation."""
    raise NotImplementedError


@hookspec
def gesso_commands(ctx: PluginContext) -> Iterable[CommandSpec]:
    """Commands: further subcommands of `gesso`."""
    raise NotImplementedError


@hookspec
def gesso_lifecycle(ctx: PluginContext) -> Iterable[Lifecycle]:
    """Lifecycle: who is told that a worker started or a model was loaded."""
    raise NotImplementedError


@hookspec
def gesso_datasets(ctx: PluginContext) -> Iterable[CaptionedSource]:
    """Sources of captioned images for `gesso train`."""
    raise NotImplementedError


@hookspec
def gesso_judges(ctx: PluginContext) -> Iterable[Judge]:
    """Judges: who names what pictures of a dataset show, for `gesso evaluate`."""
    raise NotImplementedError
