"""Each form of Stable Diffusion gives the same latents through Gesso's engine as through diffusers' own pipeline."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.plugins.diffusion.oracles import GUIDANCE, SIDE, STEPS, apart, ours, picture, pipeline_of, theirs
from tests.plugins.diffusion.unets import build_sd, build_xl

from gesso.engine import EncodeImage, ModelRef
from gesso.manifest import ModelEntry
from gesso.media import images, png
from gesso_plugins.diffusion.stable_diffusion import StableDiffusionFamily
from gesso_plugins.diffusion.stable_diffusion_xl import StableDiffusionXLFamily

pytestmark = pytest.mark.families
XL = "stable-diffusion-xl"
SD2 = {"use_linear_projection": True, "attention_head_dim": (2, 4)}


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_xl(tmp_path_factory.mktemp("xl"))


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "ddim"])
def test_sdxl(studio: Any, xl: Path, sampler: str) -> None:
    pipeline, sigmas = pipeline_of("StableDiffusionXLPipeline", xl, sampler)
    assert apart(ours(studio, xl, sigmas, family=XL, sampler=sampler), theirs(pipeline, sigmas)) < 1e-4


def test_sdxl_zeroes_an_empty_negative_prompt(studio: Any, xl: Path) -> None:
    pipeline, sigmas = pipeline_of("StableDiffusionXLPipeline", xl)
    found = ours(studio, xl, sigmas, family=XL, negative="")
    assert apart(found, theirs(pipeline, sigmas, negative_prompt=None)) < 1e-4
    assert apart(found, theirs(pipeline, sigmas, negative_prompt="")) > 1e-3


def test_sdxl_without_guidance(studio: Any, xl: Path) -> None:
    pipeline, sigmas = pipeline_of("StableDiffusionXLPipeline", xl, "euler")
    found = ours(studio, xl, sigmas, family=XL, sampler="euler", guidance=1.0, negative="")
    assert apart(found, theirs(pipeline, sigmas, guidance_scale=1.0)) < 1e-4


def test_the_refiner_goes_on_from_a_picture(studio: Any, tmp_path: Path) -> None:
    folder = build_xl(tmp_path, refiner=True)
    name, data = picture()
    pipeline, sigmas = pipeline_of("StableDiffusionXLImg2ImgPipeline", folder)
    found = ours(studio, folder, sigmas, family=XL, blobs={name: data}, image={"sha256": name}, strength=0.5)
    start = encoded(studio, images.to_planes(data, SIDE, SIDE))
    generator = torch.Generator("cpu").manual_seed(11)
    wanted = theirs(pipeline, sigmas, image=start, strength=0.5, generator=generator, latents=..., height=..., width=...)
    assert apart(found, wanted) < 1e-4


def encoded(studio: Any, planes: torch.Tensor) -> torch.Tensor:
    """The mean of a picture's latent, since diffusers would take a sample."""
    card = studio.catalogue.card("tiny")

    def job() -> Any:
        return (yield EncodeImage(ModelRef("tiny", card.digest), planes))

    latent: torch.Tensor = studio.run(job())
    return latent


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_sd_2(studio: Any, tmp_path: Path, prediction: str) -> None:
    folder = build_sd(tmp_path, scheduler={"prediction_type": prediction}, text={"hidden_act": "gelu", "num_hidden_layers": 2}, **SD2)
    pipeline, sigmas = pipeline_of("StableDiffusionPipeline", folder)
    assert apart(ours(studio, folder, sigmas), theirs(pipeline, sigmas)) < 1e-4


def test_guidance_that_is_built_in(studio: Any, tmp_path: Path) -> None:
    folder = build_sd(tmp_path, time_cond_proj_dim=9)
    pipeline, sigmas = pipeline_of("StableDiffusionPipeline", folder)
    found = ours(studio, folder, sigmas)
    assert apart(found, theirs(pipeline, sigmas)) < 1e-4
    assert apart(found, theirs(pipeline, sigmas, guidance_scale=GUIDANCE + 1)) > 1e-3
    assert StableDiffusionFamily().inspect(ModelEntry("a", "stable-diffusion", "A", folder, ())).embeds_guidance


def test_distilled_models_default_to_few_steps_without_guidance(tmp_path: Path) -> None:
    from diffusers import EulerAncestralDiscreteScheduler, LCMScheduler

    warnings.simplefilter("ignore", DeprecationWarning)
    turbo = build_xl(tmp_path / "a", scheduler=EulerAncestralDiscreteScheduler(timestep_spacing="trailing"))
    card = StableDiffusionXLFamily().inspect(ModelEntry("a", XL, "A", turbo, ()))
    assert (card.defaults.sampler, card.defaults.steps, card.defaults.guidance) == ("euler_ancestral", 4, 1.0)
    lcm = build_xl(tmp_path / "b", scheduler=LCMScheduler(), time_cond_proj_dim=8)
    card = StableDiffusionXLFamily().inspect(ModelEntry("b", XL, "B", lcm, ()))
    assert (card.defaults.sampler, card.defaults.steps, card.defaults.guidance) == ("lcm", 4, 8.0)
    assert card.defaults.steps < STEPS


def test_two_jobs_of_unlike_prompts_share_one_model(studio: Any, xl: Path) -> None:
    """A prompt over several windows beside a short one: both encoders are filled to the same length."""
    _, sigmas = pipeline_of("StableDiffusionXLPipeline", xl)
    long = ours(studio, xl, sigmas, family=XL, prompt="a" * 100)
    short = ours(studio, xl, sigmas, family=XL, prompt="a" * 50)
    assert apart(long, short) > 1e-4


def hole() -> tuple[str, bytes, torch.Tensor]:
    """A mask whose edges lie on those of latents: as a picture, and (1, 1, H, W)."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[8:24, 4:20] = 255
    data = png.write(pixels, {})
    return hashlib.sha256(data).hexdigest(), data, torch.from_numpy(pixels[..., 0].astype(np.float32) / 255)[None, None]


def inpainted(studio: Any, folder: Path, family: str, kind: str, strength: float) -> float:
    """How far Gesso's masked latents are from those of diffusers' inpainting pipeline."""
    (name, data), (mask_name, mask_data, mask) = picture(), hole()
    pipeline, sigmas = pipeline_of(kind, folder)
    blobs = {name: data, mask_name: mask_data}
    more = {"image": {"sha256": name}, "mask": {"sha256": mask_name}, "strength": strength}
    found = ours(studio, folder, sigmas, family=family, blobs=blobs, **more)
    seen = images.to_planes(data, SIDE, SIDE)
    start, cut = (encoded(studio, part) for part in (seen, torch.where(mask >= 0.5, 0.5, seen)))
    given = {"image": start, "mask_image": mask, "masked_image_latents": cut, "strength": strength, "latents": ...}
    wanted = theirs(pipeline, sigmas, **given, generator=torch.Generator("cpu").manual_seed(11))
    return apart(found, wanted)


@pytest.mark.parametrize("strength", [0.6, 0.2])
def test_masked_denoising(studio: Any, tmp_path: Path, strength: float) -> None:
    assert inpainted(studio, build_sd(tmp_path), "stable-diffusion", "StableDiffusionInpaintPipeline", strength) < 1e-4


def test_masked_denoising_of_sdxl(studio: Any, xl: Path) -> None:
    assert inpainted(studio, xl, XL, "StableDiffusionXLInpaintPipeline", 0.6) < 1e-4


@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_inpainting_models_see_the_mask(studio: Any, tmp_path: Path, strength: float) -> None:
    folder = build_sd(tmp_path, in_channels=9)
    assert inpainted(studio, folder, "stable-diffusion", "StableDiffusionInpaintPipeline", strength) < 1e-4


def test_img2img_of_sdxl(studio: Any, xl: Path) -> None:
    name, data = picture()
    pipeline, sigmas = pipeline_of("StableDiffusionXLImg2ImgPipeline", xl)
    found = ours(studio, xl, sigmas, family=XL, blobs={name: data}, image={"sha256": name}, strength=0.6)
    start = encoded(studio, images.to_planes(data, SIDE, SIDE))
    generator = torch.Generator("cpu").manual_seed(11)
    wanted = theirs(pipeline, sigmas, image=start, strength=0.6, generator=generator, latents=..., height=..., width=...)
    assert apart(found, wanted) < 1e-4
