"""Plugins: the hooks they implement, what they register, and the registry made of them. No plugin is named here, and nothing is global."""

from typing import TYPE_CHECKING, Any

from gesso.plugin.build import add_stranger, build_plugins
from gesso.plugin.codecs import CodecContext, CodecSpec, codec
from gesso.plugin.commands import CommandSpec, command
from gesso.plugin.context import JobContext, Level, Places, PluginContext, ResolveContext
from gesso.plugin.datasets import CaptionedImage, CaptionedSource
from gesso.plugin.filters import FilterSpec, RequestContext, ResultContext, request_filter, result_filter
from gesso.plugin.foreign import from_k_diffusion
from gesso.plugin.hookspecs import hookimpl, hookspec
from gesso.plugin.lifecycle import Lifecycle, ModelEvent, WorkerEvent
from gesso.plugin.previews import PreviewContext, PreviewSpec, preview
from gesso.plugin.registry import Fault, PluginState, Registry
from gesso.plugin.schemas import compile_operations, compile_to
from gesso.plugin.scoring import ScoreContext, ScorerSpec, scorer
from gesso.plugin.specs import GuidanceSpec, SamplerSpec, ScheduleSpec, guidance, sampler, schedule
from gesso.plugin.styles import StyleSpec
from gesso.plugin.upscaling import UpscaleContext, UpscalerSpec, upscaler

if TYPE_CHECKING:
    from gesso.plugin.operations import Operation, OperationParams

__all__ = [
    "CaptionedImage",
    "CaptionedSource",
    "CodecContext",
    "CodecSpec",
    "CommandSpec",
    "Fault",
    "FilterSpec",
    "GuidanceSpec",
    "JobContext",
    "Level",
    "Lifecycle",
    "ModelEvent",
    "Operation",
    "OperationParams",
    "Places",
    "PluginContext",
    "PluginState",
    "PreviewContext",
    "PreviewSpec",
    "Registry",
    "RequestContext",
    "ResolveContext",
    "ResultContext",
    "SamplerSpec",
    "ScheduleSpec",
    "ScoreContext",
    "ScorerSpec",
    "StyleSpec",
    "UpscaleContext",
    "UpscalerSpec",
    "WorkerEvent",
    "add_stranger",
    "build_plugins",
    "codec",
    "command",
    "compile_operations",
    "compile_to",
    "from_k_diffusion",
    "guidance",
    "hookimpl",
    "hookspec",
    "preview",
    "request_filter",
    "result_filter",
    "sampler",
    "schedule",
    "scorer",
    "upscaler",
]


def __getattr__(name: str) -> Any:
    """Operations bring pydantic along, which takes longer to import than all the rest: a plugin of samplers is checked without."""
    if name in ("Operation", "OperationParams"):
        from gesso.plugin import operations

        return getattr(operations, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
