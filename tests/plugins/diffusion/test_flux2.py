"""Flux.2 gives the same latents through Gesso's engine as through diffusers' own pipeline."""

from __future__ import annotations

import json
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import diffusers_pipeline, noise, ours, theirs
from tests.plugins.diffusion.oracles import SIDE, apart, picture
from torch.nn import functional

from gesso.errors import InvalidRequest
from gesso.media import images

pytestmark = pytest.mark.families
PLACES = SIDE // 4
"""Of a side: the codec's places are two pixels wide here, the denoiser's two of the codec's."""


@pytest.fixture(scope="module")
def klein(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.flux2_klein(tmp_path_factory.mktemp("klein"))


def diffusers_latents(pipeline: Any, **arguments: Any) -> tuple[torch.Tensor, list[float]]:
    """Theirs as the denoiser has them: they give those of the codec."""
    coded, sigmas = theirs(pipeline, latents=noise(16, PLACES), **arguments)
    bn = pipeline.vae.bn
    deviation = (bn.running_var + pipeline.vae.config.batch_norm_eps).sqrt().view(1, -1, 1, 1)
    return (functional.pixel_unshuffle(coded, 2) - bn.running_mean.view(1, -1, 1, 1)) / deviation, sigmas


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_klein_is_guided_by_an_empty_prompt(studio: Any, klein: Path, guidance: float) -> None:
    wanted, sigmas = diffusers_latents(diffusers_pipeline("Flux2KleinPipeline", klein), guidance_scale=guidance)
    assert apart(ours(studio, klein, "flux2", sigmas, guidance=guidance), wanted) < 1e-4
    assert studio.context().model("tiny").defaults.guidance == 4.0


def test_klein_distilled_takes_few_steps(studio: Any, tmp_path: Path) -> None:
    folder = tiny.flux2_klein(tmp_path, distilled=True)
    wanted, sigmas = diffusers_latents(diffusers_pipeline("Flux2KleinPipeline", folder), num_inference_steps=4)
    found = ours(studio, folder, "flux2", None, steps=4)
    assert apart(found, wanted) < 1e-4
    assert (studio.context().model("tiny").defaults.steps, sigmas[-1]) == (4, 0.0)


def test_a_picture_is_looked_at(studio: Any, klein: Path) -> None:
    name, data = picture()
    pipeline = diffusers_pipeline("Flux2KleinPipeline", klein)
    planes = images.to_planes(data, SIDE, SIDE)
    pipeline.image_processor.check_image_input = lambda image: None  # it refuses pictures below 64 pixels
    pipeline.image_processor.preprocess = lambda *_, **__: planes * 2 - 1
    wanted, sigmas = diffusers_latents(pipeline, image=Image.open(BytesIO(data)), guidance_scale=1.0)
    found = ours(studio, klein, "flux2", sigmas, {name: data}, image={"sha256": name})
    assert apart(found, wanted) < 1e-4
    assert apart(found, ours(studio, klein, "flux2", sigmas)) > 1e-3


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.flux2_dev(tmp_path_factory.mktemp("dev"))


def dev_latents(pipeline: Any, **arguments: Any) -> tuple[torch.Tensor, list[float]]:
    """Theirs, which they give as tokens."""
    tokens, sigmas = theirs(pipeline, latents=noise(16, PLACES), **arguments)
    return tokens.transpose(1, 2).reshape(1, 16, PLACES, PLACES), sigmas


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_dev_is_told_the_guidance(studio: Any, dev: Path, guidance: float) -> None:
    wanted, sigmas = dev_latents(diffusers_pipeline("Flux2Pipeline", dev), guidance_scale=guidance)
    assert apart(ours(studio, dev, "flux2", sigmas, guidance=guidance), wanted) < 1e-4
    assert apart(ours(studio, dev, "flux2", sigmas, guidance=2.5), wanted) > 1e-3
    card = studio.context().model("tiny")
    assert (card.embeds_guidance, card.defaults.steps, card.defaults.guidance) == (True, 50, 4.0)


def test_dev_looks_at_a_picture(studio: Any, dev: Path) -> None:
    name, data = picture()
    pipeline = diffusers_pipeline("Flux2Pipeline", dev)
    planes = images.to_planes(data, SIDE, SIDE)
    pipeline.image_processor.check_image_input = lambda image: None  # it refuses pictures below 64 pixels
    pipeline.image_processor.preprocess = lambda *_, **__: planes * 2 - 1
    wanted, sigmas = dev_latents(pipeline, image=Image.open(BytesIO(data)), guidance_scale=4.0)
    found = ours(studio, dev, "flux2", sigmas, {name: data}, image={"sha256": name}, guidance=4.0)
    assert apart(found, wanted) < 1e-4


def test_dev_as_its_directory_names_its_tokenizer(studio: Any, dev: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(dev, tmp_path / "dev"))
    index = json.loads((folder / "model_index.json").read_text())
    index["tokenizer"] = ["transformers", "PixtralProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    studio.add("tiny", folder, "flux2")
    asked = {"prompt": "moss", "model": "tiny", "width": 32, "height": 48, "seed": 1, "steps": 3, "tile": "xy"}
    assert studio.make("generate", asked).outputs[0].pixels.shape == (48, 32, 3)


def test_pictures_are_made_and_started_from(studio: Any, klein: Path) -> None:
    studio.add("tiny", klein, "flux2")
    name, data = picture()
    asked = {"prompt": "moss", "model": "tiny", "width": 32, "height": 48, "seed": 1, "steps": 3, "tile": "xy"}
    assert studio.make("generate", asked).outputs[0].pixels.shape == (48, 32, 3)
    started = {**asked, "height": 32, "image": {"sha256": name}, "strength": 0.5}
    assert studio.make("generate", started, {name: data}).outputs[0].pixels.shape == (32, 32, 3)


def test_a_prompt_that_does_not_fit_is_refused(studio: Any, klein: Path) -> None:
    with pytest.raises(InvalidRequest, match="hears 512"):
        ours(studio, klein, "flux2", [1.0, 0.5, 0.0], prompt="a" * 600, steps=2)
