"""PixArt gives the same latents through Gesso's engine as through diffusers' own pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import diffusers_pipeline, noise, ours
from tests.plugins.diffusion.oracles import PROMPT, SIDE, STEPS, apart, match

from gesso.model import Seamless

pytestmark = pytest.mark.families


@pytest.mark.parametrize("sigma", [False, True])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # what diffusers tells itself
def test_latents_equal_those_of_diffusers(studio: Any, tmp_path: Path, sigma: bool) -> None:
    folder = tiny.pixart(tmp_path, sigma=sigma)
    pipeline = diffusers_pipeline("PixArtSigmaPipeline" if sigma else "PixArtAlphaPipeline", folder)
    sigmas = match(pipeline, "ddim")
    wanted = pipeline(
        PROMPT,
        negative_prompt="Blurred",
        num_inference_steps=STEPS,
        guidance_scale=4.0,
        width=SIDE,
        height=SIDE,
        latents=noise(),
        use_resolution_binning=False,
        clean_caption=False,
        output_type="latent",
    ).images
    found = ours(studio, folder, "pixart", sigmas, sampler="ddim", schedule="karras", guidance=4.0, negative="Blurred")
    assert apart(found, wanted) < 1e-4
    model = studio.registry.family("pixart").load(studio.context().model("tiny"), torch.device("cpu"))
    cond, x, level = model.encode_text(["moss"])[0], torch.randn(1, 16, 16, 16), torch.tensor([2.0])
    with torch.no_grad():
        plain = model.denoise(x, level, cond)
        with model.patched([Seamless(True, True)]):
            assert not torch.allclose(model.denoise(x, level, cond), plain, atol=1e-5)
        with model.patched([]):
            assert torch.equal(model.denoise(x, level, cond), plain)
