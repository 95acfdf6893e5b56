"""Registers the samplers and the schedules. It is the only file of this plugin that knows hooks."""

from __future__ import annotations

from gesso.plugin import PluginContext, SamplerSpec, ScheduleSpec, hookimpl
from gesso_plugins.samplers.ddim import ddim
from gesso_plugins.samplers.ddpm import ddpm
from gesso_plugins.samplers.deis import deis
from gesso_plugins.samplers.dpm_2 import dpm_2
from gesso_plugins.samplers.dpm_2_ancestral import dpm_2_ancestral
from gesso_plugins.samplers.dpm_adaptive import dpm_adaptive
from gesso_plugins.samplers.dpm_fast import dpm_fast
from gesso_plugins.samplers.dpmpp_2m import dpmpp_2m, dpmpp_2m_cfg_pp
from gesso_plugins.samplers.dpmpp_2m_sde import dpmpp_2m_sde, dpmpp_2m_sde_heun
from gesso_plugins.samplers.dpmpp_2s_ancestral import dpmpp_2s_ancestral, dpmpp_2s_ancestral_cfg_pp
from gesso_plugins.samplers.dpmpp_3m_sde import dpmpp_3m_sde
from gesso_plugins.samplers.dpmpp_sde import dpmpp_sde
from gesso_plugins.samplers.er_sde import er_sde
from gesso_plugins.samplers.euler import euler, euler_cfg_pp
from gesso_plugins.samplers.euler_ancestral import euler_ancestral, euler_ancestral_cfg_pp
from gesso_plugins.samplers.gradient_estimation import gradient_estimation, gradient_estimation_cfg_pp
from gesso_plugins.samplers.heun import heun
from gesso_plugins.samplers.heunpp2 import heunpp2
from gesso_plugins.samplers.ipndm import ipndm
from gesso_plugins.samplers.lcm import lcm
from gesso_plugins.samplers.lms import ipndm_v, lms
from gesso_plugins.samplers.plms import plms
from gesso_plugins.samplers.res_multistep import (
    res_multistep,
    res_multistep_ancestral,
    res_multistep_ancestral_cfg_pp,
    res_multistep_cfg_pp,
)
from gesso_plugins.samplers.restart import restart
from gesso_plugins.samplers.sa_solver import sa_solver, sa_solver_pece
from gesso_plugins.samplers.schedules import by_sigma, by_time
from gesso_plugins.samplers.seeds_2 import seeds_2
from gesso_plugins.samplers.seeds_3 import seeds_3
from gesso_plugins.samplers.tcd import tcd
from gesso_plugins.samplers.uni_pc import uni_pc, uni_pc_bh2

SAMPLERS: tuple[SamplerSpec, ...] = (
    euler,
    euler_cfg_pp,
    euler_ancestral,
    euler_ancestral_cfg_pp,
    heun,
    heunpp2,
    dpm_2,
    dpm_2_ancestral,
    lms,
    dpm_fast,
    dpm_adaptive,
    dpmpp_2s_ancestral,
    dpmpp_2s_ancestral_cfg_pp,
    dpmpp_sde,
    dpmpp_2m,
    dpmpp_2m_cfg_pp,
    dpmpp_2m_sde,
    dpmpp_2m_sde_heun,
    dpmpp_3m_sde,
    ddim,
    ddpm,
    plms,
    lcm,
    tcd,
    ipndm,
    ipndm_v,
    deis,
    uni_pc,
    uni_pc_bh2,
    res_multistep,
    res_multistep_cfg_pp,
    res_multistep_ancestral,
    res_multistep_ancestral_cfg_pp,
    gradient_estimation,
    gradient_estimation_cfg_pp,
    er_sde,
    seeds_2,
    seeds_3,
    sa_solver,
    sa_solver_pece,
    restart,
)

SCHEDULES: tuple[ScheduleSpec, ...] = (
    by_time.normal,
    by_time.simple,
    by_sigma.karras,
    by_sigma.exponential,
    by_sigma.polyexponential,
    by_time.sgm_uniform,
    by_time.ddim_uniform,
    by_time.beta,
    by_sigma.linear_quadratic,
    by_sigma.kl_optimal,
    by_sigma.laplace,
    by_sigma.vp,
    by_time.align_your_steps,
    by_time.turbo,
    by_time.linspace,
)


@hookimpl
def gesso_samplers(ctx: PluginContext) -> tuple[SamplerSpec, ...]:  # noqa: ARG001  (the hook's one argument)
    """All samplers of this plugin."""
    return SAMPLERS


@hookimpl
def gesso_schedules(ctx: PluginContext) -> tuple[ScheduleSpec, ...]:  # noqa: ARG001  (the hook's one argument)
    """All schedules of this plugin."""
    return SCHEDULES
