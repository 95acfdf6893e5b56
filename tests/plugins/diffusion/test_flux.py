"""Flux.1 gives the same latents through Gesso's engine as through diffusers' own pipeline, on Gesso's own schedule too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import diffusers_pipeline, noise, ours, theirs
from tests.plugins.diffusion.oracles import SIDE, apart, picture

from gesso.engine import EncodeImage, ModelRef
from gesso.media import images
from gesso_plugins.diffusion.flux import packed, unpacked

pytestmark = pytest.mark.families


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.flux(tmp_path_factory.mktemp("flux"))


@pytest.mark.parametrize("scale", [1.0, 3.5])
def test_dev_takes_the_guidance_as_an_input_and_its_schedule_moves_with_the_size(studio: Any, dev: Path, scale: float) -> None:
    wanted, sigmas = theirs(diffusers_pipeline("FluxPipeline", dev), latents=packed(noise()), guidance_scale=scale)
    found = ours(studio, dev, "flux", None, guidance=scale)
    assert apart(found, unpacked(wanted, SIDE // 2, SIDE // 2)) < 1e-4
    assert sigmas[1] > 0.8


def test_classifier_free_guidance_beside_it(studio: Any, dev: Path) -> None:
    pipeline = diffusers_pipeline("FluxPipeline", dev)
    wanted, _ = theirs(pipeline, latents=packed(noise()), guidance_scale=2.0, true_cfg_scale=3.0, negative_prompt="blurred")
    extra = {"classifier_free": {"scale": 3.0}}
    found = ours(studio, dev, "flux", None, guidance=2.0, negative="blurred", guidance_extra=extra)
    assert apart(found, unpacked(wanted, SIDE // 2, SIDE // 2)) < 1e-4


def test_schnell(studio: Any, tmp_path: Path) -> None:
    folder = tiny.flux(tmp_path, guided=False)
    pipeline = diffusers_pipeline("FluxPipeline", folder)
    wanted, _ = theirs(pipeline, latents=packed(noise()), max_sequence_length=256, num_inference_steps=4)
    found = ours(studio, folder, "flux", None, steps=4)
    assert apart(found, unpacked(wanted, SIDE // 2, SIDE // 2)) < 1e-4
    assert studio.context().model("tiny").defaults.steps == 4


def test_kontext_looks_at_a_picture_and_starts_from_noise(studio: Any, tmp_path: Path) -> None:
    folder = tiny.flux(tmp_path, kind="FluxKontextPipeline")
    studio.add("tiny", folder, "flux")
    name, data = picture()
    card = studio.context().model("tiny")

    def encoded() -> Any:
        return (yield EncodeImage(ModelRef("tiny", card.digest), images.to_planes(data, SIDE, SIDE)))

    pipeline = diffusers_pipeline("FluxKontextPipeline", folder)
    wanted, _ = theirs(
        pipeline, latents=packed(noise()), image=studio.run(encoded()), guidance_scale=2.5, max_area=SIDE * SIDE, _auto_resize=False
    )
    asked = {"guidance": 2.5, "image": {"sha256": name}}
    found = ours(studio, folder, "flux", None, {name: data}, **asked)
    assert apart(found, unpacked(wanted, SIDE // 2, SIDE // 2)) < 1e-4
    assert apart(found, ours(studio, folder, "flux", None, guidance=2.5)) > 1e-3
    resolved, _ = studio.resolve("generate", {"prompt": "a", "model": "tiny", "seed": 1, "width": 32, "height": 32, **asked})
    assert resolved.strength is None


def test_packing_is_undone() -> None:
    x = torch.randn(2, 16, 6, 8)
    assert torch.equal(unpacked(packed(x), 6, 8), x)
