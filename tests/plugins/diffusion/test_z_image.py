"""Z-Image gives the same latents through Gesso's engine as through diffusers' own pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import diffusers_pipeline, ours, theirs
from tests.plugins.diffusion.oracles import apart

from gesso.errors import InvalidRequest

pytestmark = pytest.mark.families


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.z_image(tmp_path_factory.mktemp("z"))


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_latents_equal_those_of_diffusers(studio: Any, folder: Path, guidance: float) -> None:
    pipeline = diffusers_pipeline("ZImagePipeline", folder)
    wanted, sigmas = theirs(pipeline, guidance_scale=guidance - 1, negative_prompt="blurred")
    found = ours(studio, folder, "z-image", sigmas, guidance=guidance, negative="blurred")
    assert apart(found, wanted) < 1e-4


def test_a_prompt_that_does_not_fit_is_refused(studio: Any, folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="hears 448"):
        ours(studio, folder, "z-image", None, prompt="a" * 500)
