"""PixArt gives the same latents through Gesso's engine as through diffusers' own pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import diffusers_pipeline, noise, ours
from tests.plugins.diffusion.oracles import PROMPT, SIDE, STEPS, apart, match

from gesso.errors import ModelError
from gesso.manifest import ModelEntry
from gesso.model import Seamless
from gesso_plugins.diffusion.pixart import PixArtFamily

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


def test_a_directory_without_a_readable_vocabulary_is_refused_with_what_supplies_it(tmp_path: Path) -> None:
    folder = tiny.pixart(tmp_path, sigma=True)
    (folder / "tokenizer" / "tokenizer.json").unlink()
    (folder / "tokenizer" / "spiece.model").write_bytes(b"\n")
    with pytest.raises(ModelError, match=r"tokenizer .* has no tokenizer\.json") as caught:
        PixArtFamily().inspect(ModelEntry("tiny", "pixart", "Tiny", folder, ()))
    assert "t5-small" in str(caught.value.hint)
