"""SD 3 gives the same latents through Gesso's engine as through diffusers' own pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import diffusers_pipeline, ours, theirs
from tests.plugins.diffusion.oracles import apart

pytestmark = pytest.mark.families
FAMILY = "stable-diffusion-3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.sd3(tmp_path_factory.mktemp("sd3"))


@pytest.mark.parametrize("guidance", [1.0, 4.5])
def test_latents_equal_those_of_diffusers(studio: Any, folder: Path, guidance: float) -> None:
    pipeline = diffusers_pipeline("StableDiffusion3Pipeline", folder)
    wanted, sigmas = theirs(pipeline, guidance_scale=guidance, negative_prompt="blurred")
    found = ours(studio, folder, FAMILY, sigmas, guidance=guidance, negative="blurred")
    assert apart(found, wanted) < 1e-4


def test_without_t5_zeros_stand_for_its_states(studio: Any, tmp_path: Path) -> None:
    folder = tiny.sd3(tmp_path, with_t5=False)
    pipeline = diffusers_pipeline("StableDiffusion3Pipeline", folder, text_encoder_3=None, tokenizer_3=None)
    wanted, sigmas = theirs(pipeline, guidance_scale=3.0, negative_prompt="")
    assert apart(ours(studio, folder, FAMILY, sigmas, guidance=3.0), wanted) < 1e-4
    assert "T5" in studio.context().model("tiny").info["without"]
