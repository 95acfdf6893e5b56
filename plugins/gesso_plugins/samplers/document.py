"""Writes docs/samplers.md from the registered specs: ``python -m gesso_plugins.samplers.document > docs/samplers.md``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gesso.plugin import SamplerSpec
from gesso_plugins.samplers.plugin import SAMPLERS, SCHEDULES

UNCOMPARED = (
    "euler_cfg_pp",
    "euler_ancestral_cfg_pp",
    "heunpp2",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_2m_cfg_pp",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver_pece",
    "restart",
)
"""Samplers that neither k-diffusion nor diffusers has in a form that could be compared."""

HEAD = """# Samplers and schedules

This page is written by `python -m gesso_plugins.samplers.document`; do not edit it. To add a sampler, see
[writing_samplers.md](writing_samplers.md).

Every name in the tables can be used wherever a sampler or a schedule is asked for; case does not count. Both at once, as in
`--sampler "DPM++ 2M Karras"` or InvokeAI's `dpmpp_2m_k`, gives the sampler and the schedule. All work on epsilon, v and rectified-flow
models: the form is chosen from the model's own parametrisation.

## Samplers

*Order*: how fast the error falls with the number of steps, for stochastic samplers without their noise. *Evaluations*: of the model,
for each step (several: it depends). *Noise*: whether fresh noise is drawn during sampling; with the same seed it is the same noise.
"""

MIDDLE = """
Notes

* `ddim` (with `eta` 0) and `euler` are one method, and so are `ipndm_v` and `lms`, and, for epsilon and v models, `ddpm` and
  `euler_ancestral`. They are all here because users look for them by these names. All others differ.
* `dpmpp_sde`, `dpmpp_2m_sde`, `dpmpp_2m_sde_heun` and `dpmpp_3m_sde` draw from one Brownian path per image, so that more steps refine the
  same picture. `_gpu` names of other programs are aliases: noise is always drawn on the CPU, and pictures do not depend on the device.
* Samplers whose name ends in `_cfg_pp` take the clean image from the guided prediction and the noise from the unconditional one (CFG++).
  They need a guidance far below the usual (about 1 to 2). Without guidance they equal the sampler without the ending.
* The names of ComfyUI, AUTOMATIC1111 and InvokeAI and the scheduler classes of diffusers are known where there is the same method here.
  `DPMSolverSinglestepScheduler` (InvokeAI's `dpmpp_2s`) and InvokeAI's `dpmpp_3m` are refused, because no sampler gives their pictures;
  `dpmpp_2s_ancestral` and `dpmpp_3m_sde` are the nearest.
* `lcm` and `tcd` are for models that were distilled for them.
* `dpm_fast` and `dpm_adaptive` use only the ends of the schedule (and `dpm_fast` its length); both finish with a step to 0.
* `restart` goes back up once from the low to the middle noise levels, which costs more evaluations than steps.
* Each file in `plugins/gesso_plugins/samplers/` cites its paper. Those that k-diffusion or diffusers have are tested to equal
  them; the others are derived in their file, and tested by their order, by what they draw from known distributions, and by their exactness
  for a constant picture: {uncompared}.

## Schedules

Each gives `steps` + 1 noise levels, from the highest, down to 0.
"""

TAIL = """
Notes

* `align_your_steps` takes `table`: `sd15`, `sdxl` or `svd`; it is refused for models with other noise levels.
* `laplace`, `vp` and `kl_optimal` are cut off at the model's trained range, and for flow models work on sigma / (1 - sigma).
* `simple`, `ddim_uniform`, `turbo` and `linspace` pick from the trained levels and refuse more steps than there are.
"""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def page() -> str:
    """The whole page."""
    samplers = _table(("name", "title", "order", "evaluations", "noise", "other names", "paper"), map(_sampler, SAMPLERS))
    schedules = _table(("name", "title", "other names", "paper"), ((f"`{s.name}`", s.title, _names(s.aliases), s.paper) for s in SCHEDULES))
    return HEAD + "\n" + samplers + MIDDLE.format(uncompared=_names(UNCOMPARED)) + "\n" + schedules + TAIL


def _sampler(spec: SamplerSpec) -> Sequence[str]:
    evaluations, noise = str(spec.evaluations or "several"), "yes" if spec.stochastic else ""
    return f"`{spec.name}`", spec.title, str(spec.order), evaluations, noise, _names(spec.aliases), spec.paper


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    print(page(), end="")
