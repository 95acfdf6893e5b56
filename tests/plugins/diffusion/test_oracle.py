"""The oracle: a tiny pipeline of the true architecture gives the same latents through Gesso's engine as through diffusers' own pipeline."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
)

from gesso.engine import EncodeImage
from gesso.math import initial_noise
from gesso.media import images, png
from gesso_plugins.imaging.generate import Sampling, started
from gesso_plugins.imaging.params import GenerateParams

STEPS, GUIDANCE, SEED, SIDE = 8, 4.0, 11, 32
PROMPT, NEGATIVE = "mossy grey cobblestone", "blurred"

ORACLES: dict[str, tuple[Any, dict[str, Any]]] = {
    "euler": (EulerDiscreteScheduler, {}),
    "dpmpp_2m": (DPMSolverMultistepScheduler, {"final_sigmas_type": "zero", "lower_order_final": True}),
    "ddim": (DDIMScheduler, {"set_alpha_to_one": True}),
}


@pytest.fixture(params=["epsilon", "v_prediction", "sample"])
def prediction(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def oracle(kind_of_pipeline: Any, folder: Path, sampler: str) -> tuple[Any, list[float]]:
    """diffusers' own pipeline with the scheduler that matches a sampler, and the noise levels of its timesteps."""
    warnings.simplefilter("ignore", DeprecationWarning)  # diffusers converts tensors in a way that numpy 2 dislikes; pytest restores this
    pipeline = kind_of_pipeline.from_pretrained(folder, local_files_only=True, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    kind, options = ORACLES[sampler]
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config, timestep_spacing="trailing", **options)
    pipeline.scheduler.set_timesteps(STEPS)
    abar = pipeline.scheduler.alphas_cumprod[pipeline.scheduler.timesteps.round().long()].to(torch.float64)
    return pipeline, [*(((1 - abar) / abar).sqrt()).tolist(), 0.0]


def diffusers_latents(folder: Path, sampler: str) -> tuple[torch.Tensor, list[float]]:
    pipeline, sigmas = oracle(StableDiffusionPipeline, folder, sampler)
    noise = initial_noise((1, 4, SIDE // 2, SIDE // 2), SEED)
    # Gesso starts from noise * sqrt(sigma^2 + 1): to variance-preserving schedulers that is the noise itself; Euler scales what it gets.
    given = noise * (sigmas[0] ** 2 + 1) ** 0.5 / pipeline.scheduler.init_noise_sigma if sampler == "euler" else noise
    latents = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        height=SIDE,
        width=SIDE,
        latents=given,
        output_type="latent",
    ).images
    return latents, sigmas


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "ddim"])
def test_latents_equal_those_of_diffusers(studio: Any, pipelines: Callable[[str], Path], prediction: str, sampler: str) -> None:
    folder = pipelines(prediction)
    wanted, sigmas = diffusers_latents(folder, sampler)
    studio.add("tiny", folder)
    params = GenerateParams(
        prompt=PROMPT,
        negative=NEGATIVE,
        model="tiny",
        sampler=sampler,
        schedule="karras",
        steps=STEPS,
        guidance=GUIDANCE,
        width=SIDE,
        height=SIDE,
        seed=SEED,
    )
    ctx = studio.context()
    task = Sampling(ctx, ctx.model("tiny"), params, sigmas)

    def job() -> Any:
        yield from task.prepare()
        return (yield from task.latent(0))

    found = studio.run(job())
    assert found.shape == wanted.shape
    error = (found - wanted).abs().max() / wanted.abs().max()
    assert error < 1e-4


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_latents_from_a_picture_equal_those_of_diffusers(studio: Any, pipelines: Callable[[str], Path], strength: float) -> None:
    folder = pipelines("v_prediction")
    pixels = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    data = png.write(pixels, {})
    name = hashlib.sha256(data).hexdigest()
    studio.add("tiny", folder)
    pipeline, sigmas = oracle(StableDiffusionImg2ImgPipeline, folder, "ddim")
    params = GenerateParams(
        prompt=PROMPT,
        negative=NEGATIVE,
        model="tiny",
        sampler="ddim",
        schedule="karras",
        steps=STEPS,
        guidance=GUIDANCE,
        width=SIDE,
        height=SIDE,
        seed=SEED,
        image={"sha256": name},
        strength=strength,
    )
    ctx = studio.context({name: data})
    task = Sampling(ctx, ctx.model("tiny"), params, started(sigmas, strength))

    def job() -> Any:
        yield from task.prepare()
        encoded = yield EncodeImage(task.model, images.to_planes(data, SIDE, SIDE))
        return encoded, (yield from task.latent(0))

    start, found = studio.run(job())
    wanted = pipeline(
        PROMPT,
        image=start,
        strength=strength,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=torch.Generator("cpu").manual_seed(SEED),
        output_type="latent",
    ).images
    error = (found - wanted).abs().max() / wanted.abs().max()
    assert error < 1e-4
