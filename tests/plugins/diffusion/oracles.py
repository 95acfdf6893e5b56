"""Runs one job through Gesso's engine and through diffusers' own pipeline with the scheduler that matches, and compares the latents."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch

from gesso.math import initial_noise
from gesso.media import png
from gesso_plugins.imaging.generate import Sampling, started
from gesso_plugins.imaging.params import GenerateParams

STEPS, GUIDANCE, SEED, SIDE = 5, 4.0, 11, 32
PROMPT, NEGATIVE = "mossy grey cobblestone", "blurred"
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {"final_sigmas_type": "zero", "lower_order_final": True}),
    "ddim": ("DDIMScheduler", {"set_alpha_to_one": True, "clip_sample": False}),
}


def pipeline_of(kind: str, folder: Path, sampler: str = "ddim", **components: Any) -> tuple[Any, list[float]]:
    """diffusers' pipeline with the scheduler that matches a sampler, and the noise levels of its timesteps."""
    warnings.simplefilter("ignore", DeprecationWarning)  # diffusers converts tensors in a way that numpy 2 dislikes; pytest restores this
    if "XL" not in kind:
        components["safety_checker"] = None
    pipeline = getattr(diffusers, kind).from_pretrained(folder, local_files_only=True, **components)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, match(pipeline, sampler)


def match(pipeline: Any, sampler: str) -> list[float]:
    """Give a pipeline the scheduler of a sampler; its noise levels."""
    name, options = SCHEDULERS[sampler]
    pipeline.scheduler = getattr(diffusers, name).from_config(pipeline.scheduler.config, **{**options, "timestep_spacing": "trailing"})
    pipeline.scheduler.set_timesteps(STEPS)
    abar = pipeline.scheduler.alphas_cumprod[pipeline.scheduler.timesteps.round().long()].to(torch.float64)
    return [*(((1 - abar) / abar).sqrt()).tolist(), 0.0]


def theirs(pipeline: Any, sigmas: Sequence[float], **arguments: Any) -> torch.Tensor:
    """The latents of diffusers, from the noise that Gesso starts with: noise * sqrt(sigma^2 + 1), which Euler scales itself."""
    noise = initial_noise((1, 4, SIDE // 2, SIDE // 2), SEED)
    if isinstance(pipeline.scheduler, diffusers.EulerDiscreteScheduler):
        noise = noise * (sigmas[0] ** 2 + 1) ** 0.5 / pipeline.scheduler.init_noise_sigma
    asked = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "num_inference_steps": STEPS,
        "guidance_scale": GUIDANCE,
        "height": SIDE,
        "width": SIDE,
        "latents": noise,
        "output_type": "latent",
    }
    latents: torch.Tensor = pipeline(**{key: value for key, value in {**asked, **arguments}.items() if value is not ...}).images
    return latents


def ours(studio: Any, folder: Path, sigmas: Sequence[float], **params: Any) -> torch.Tensor:
    """The latents of Gesso at these noise levels. ``blobs`` and ``family`` are no parameters of the job."""
    blobs, family = params.pop("blobs", None), params.pop("family", "stable-diffusion")
    if "tiny" not in [entry.name for entry in studio.registry.models]:
        studio.add("tiny", folder, family)
    wanted = {
        "prompt": PROMPT,
        "negative": NEGATIVE,
        "model": "tiny",
        "sampler": "ddim",
        "schedule": "karras",
        "steps": STEPS,
        "guidance": GUIDANCE,
        "width": SIDE,
        "height": SIDE,
        "seed": SEED,
        **params,
    }
    asked = GenerateParams(**wanted)
    ctx = studio.context(blobs)
    task = Sampling(ctx, ctx.model(asked.model), asked, started(list(sigmas), asked.strength))

    def job() -> Any:
        yield from task.prepare()
        return (yield from task.latent(0))

    latents: torch.Tensor = studio.run(job())
    return latents


def apart(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference over the largest number."""
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / wanted.abs().max())


def picture(seed: int = 3, side: int = SIDE) -> tuple[str, bytes]:
    """A PNG of random pixels, by its hash."""
    data = png.write(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8), {})
    return hashlib.sha256(data).hexdigest(), data
