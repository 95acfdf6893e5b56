"""Registers the samplers and the schedules. It is the only file of this plugin that knows hooks."""

from __future__ import annotations

from gesso.plugin import PluginContext, SamplerSpec, ScheduleSpec, hookimpl
from gesso_plugins.samplers.dpmpp_2m import dpmpp_2m, dpmpp_2m_cfg_pp
from gesso_plugins.samplers.euler import euler, euler_cfg_pp
from gesso_plugins.samplers.schedules import by_sigma, by_time

SAMPLERS: tuple[SamplerSpec, ...] = (euler, euler_cfg_pp, dpmpp_2m, dpmpp_2m_cfg_pp)

SCHEDULES: tuple[ScheduleSpec, ...] = (
    by_time.normal, by_time.simple, by_sigma.karras, by_sigma.exponential, by_sigma.polyexponential, by_time.sgm_uniform,
    by_time.ddim_uniform, by_time.beta, by_sigma.linear_quadratic, by_sigma.kl_optimal, by_sigma.laplace, by_sigma.vp,
    by_time.align_your_steps, by_time.turbo,
)


@hookimpl
def gesso_samplers(ctx: PluginContext) -> tuple[SamplerSpec, ...]:  # noqa: ARG001  (the hook's one argument)
    """All samplers of this plugin."""
    return SAMPLERS


@hookimpl
def gesso_schedules(ctx: PluginContext) -> tuple[ScheduleSpec, ...]:  # noqa: ARG001  (the hook's one argument)
    """All schedules of this plugin."""
    return SCHEDULES
