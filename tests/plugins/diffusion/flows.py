"""Runs one job of a flow model through Gesso's engine and through diffusers' own pipeline with its own scheduler."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from tests.plugins.diffusion.oracles import PROMPT, SEED, SIDE, STEPS
from tests.plugins.diffusion.oracles import ours as run

from gesso.math import initial_noise
from gesso_plugins.imaging.running import noise_levels


def diffusers_pipeline(kind: str, folder: Path, **components: Any) -> Any:
    """A pipeline of diffusers, quiet."""
    warnings.simplefilter("ignore")  # pytest restores this
    pipeline = getattr(diffusers, kind).from_pretrained(folder, local_files_only=True, **components)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def noise(channels: int = 16, side: int = SIDE // 2) -> torch.Tensor:
    return initial_noise((1, channels, side, side), SEED)


def theirs(pipeline: Any, **arguments: Any) -> tuple[torch.Tensor, list[float]]:
    """The latents of diffusers, and the noise levels that its scheduler went through."""
    asked = {
        "prompt": PROMPT,
        "num_inference_steps": STEPS,
        "height": SIDE,
        "width": SIDE,
        "latents": noise(),
        "output_type": "latent",
        **arguments,
    }
    latents: torch.Tensor = pipeline(**asked).images
    return latents, [float(sigma) for sigma in pipeline.scheduler.sigmas]


def ours(
    studio: Any, folder: Path, family: str, sigmas: Sequence[float] | None, blobs: Mapping[str, bytes] | None = None, **params: Any
) -> torch.Tensor:
    """The latents of Gesso, at these noise levels or at those of the model's own schedule for this size."""
    if "tiny" not in [entry.name for entry in studio.registry.models]:
        studio.add("tiny", folder, family)
    if sigmas is None:
        ctx = studio.context()
        sigmas = noise_levels(ctx.schedule("simple"), ctx.model("tiny").levels(SIDE, SIDE), params.get("steps", STEPS))
    settings = {"prompt": PROMPT, "negative": "", "sampler": "euler", "schedule": "simple", "guidance": 1.0, **params}
    return run(studio, folder, sigmas, family=family, blobs=blobs, **settings)
