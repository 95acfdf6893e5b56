"""Runs one job of a flow model through Gesso's engine and through diffusers' own pipeline with its own scheduler."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch

from gesso.math import initial_noise
from gesso_plugins.imaging.generate import Sampling, noise_levels, started
from gesso_plugins.imaging.params import GenerateParams

STEPS, SEED, SIDE, PROMPT = 5, 11, 32, "mossy grey cobblestone"


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
    studio: Any,
    folder: Path,
    family: str,
    sigmas: Sequence[float] | None,
    blobs: Mapping[str, bytes] | None = None,
    **params: Any,
) -> torch.Tensor:
    """The latents of Gesso, at these noise levels or at those of the schedule asked for."""
    if "tiny" not in [entry.name for entry in studio.registry.models]:
        studio.add("tiny", folder, family)
    common = {"prompt": PROMPT, "model": "tiny", "steps": STEPS, "width": SIDE, "height": SIDE, "seed": SEED}
    wanted = {**common, "sampler": "euler", "schedule": "simple", "guidance": 1.0, **params}
    ctx = studio.context(blobs)
    card = ctx.model("tiny")
    asked = GenerateParams(**wanted)
    levels = list(sigmas or noise_levels(ctx.schedule(asked.schedule), card.levels(asked.width, asked.height), asked.steps))
    task = Sampling(ctx, card, asked, started(levels, asked.strength))

    def job() -> Any:
        yield from task.prepare()
        return (yield from task.latent(SEED, 0))

    latents: torch.Tensor = studio.run(job())
    return latents


def apart(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference over the largest number."""
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / wanted.abs().max())
