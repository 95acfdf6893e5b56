"""Qwen-Image gives the same latents and pictures through Gesso's engine as through diffusers' own pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import diffusers_pipeline, noise, ours, theirs
from tests.plugins.diffusion.oracles import SIDE, apart

from gesso.model import Seamless
from gesso_plugins.diffusion.flux import packed, unpacked

pytestmark = pytest.mark.families


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.qwen_image(tmp_path_factory.mktemp("qwen"))


@pytest.fixture
def model(studio: Any, folder: Path) -> Any:
    studio.add("tiny", folder, "qwen-image")
    return studio.registry.family("qwen-image").load(studio.context().model("tiny"), torch.device("cpu"))


def test_latents_and_picture_equal_those_of_diffusers(studio: Any, folder: Path, model: Any) -> None:
    pipeline = diffusers_pipeline("QwenImagePipeline", folder)
    wanted, sigmas = theirs(pipeline, latents=packed(noise()))
    found = ours(studio, folder, "qwen-image", sigmas)
    assert apart(found, unpacked(wanted, SIDE // 2, SIDE // 2)) < 1e-4
    picture, _ = theirs(pipeline, latents=packed(noise()), output_type="pt")
    with torch.no_grad():
        assert torch.allclose(model.decode(found), picture, atol=1e-4)
        assert model.encode_image(picture).shape == found.shape


def test_the_smallest_level_is_the_declared_one(studio: Any, folder: Path) -> None:
    studio.add("tiny", folder, "qwen-image")
    assert studio.context().model("tiny").levels(512, 512).sigma_min == pytest.approx(0.02)


def test_what_is_wrapped_rolls_with_its_latent(model: Any) -> None:
    latents = torch.randn(1, 16, 24, 24)

    def apart_at_the_border(*patches: Seamless) -> float:
        with torch.no_grad(), model.patched(patches):
            whole, rolled = model.decode(latents), model.decode(torch.roll(latents, (12, 12), (2, 3)))
        return float((torch.roll(whole, (24, 24), (2, 3)) - rolled)[..., 20:28].abs().mean())

    assert apart_at_the_border(Seamless(True, True)) < apart_at_the_border() / 20
    assert torch.equal(*(model.decode(latents) for _ in range(2)))
