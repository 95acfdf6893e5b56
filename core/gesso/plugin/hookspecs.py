"""The hooks of Gesso, one page. Each receives one context and returns what it registers; all are called once, at start or reload."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from gesso.plugin.context import PluginContext
from gesso.plugin.specs import GuidanceSpec, Operation, SamplerSpec, ScheduleSpec

if TYPE_CHECKING:
    from gesso.model import Family
    from gesso.plugin.datasets import CaptionedSource

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
def gesso_datasets(ctx: PluginContext) -> Iterable[CaptionedSource]:
    """Sources of captioned images for `gesso train`."""
    raise NotImplementedError
