"""Plugins: the hooks they implement, what they register, and the registry made of them. No plugin is named here, and nothing is global."""

from gesso.plugin.build import add_stranger, build_plugins
from gesso.plugin.context import JobContext, Level, PluginContext, ResolveContext
from gesso.plugin.datasets import CaptionedImage, CaptionedSource
from gesso.plugin.foreign import from_k_diffusion
from gesso.plugin.hookspecs import hookimpl, hookspec
from gesso.plugin.registry import Fault, PluginState, Registry
from gesso.plugin.schemas import compile_operations, compile_to
from gesso.plugin.specs import GuidanceSpec, Operation, OperationParams, SamplerSpec, ScheduleSpec, guidance, sampler, schedule

__all__ = [
    "CaptionedImage",
    "CaptionedSource",
    "Fault",
    "GuidanceSpec",
    "JobContext",
    "Level",
    "Operation",
    "OperationParams",
    "PluginContext",
    "PluginState",
    "Registry",
    "ResolveContext",
    "SamplerSpec",
    "ScheduleSpec",
    "add_stranger",
    "build_plugins",
    "compile_operations",
    "compile_to",
    "from_k_diffusion",
    "guidance",
    "hookimpl",
    "hookspec",
    "sampler",
    "schedule",
]
