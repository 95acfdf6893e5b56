"""Whole pictures with guidance equal those of diffusers' own pipelines on a small random UNet, and leave no trace in the network."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPAGPipeline, StableDiffusionPipeline
from diffusers.hooks import LayerSkipConfig, apply_layer_skip
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from gesso.engine import Denoise, Load
from gesso.errors import InvalidRequest
from gesso.math import initial_noise
from gesso.model import Perturbation
from gesso_plugins.diffusion.perturbing import layers_of, perturbed
from gesso_plugins.imaging.generate import Sampling
from gesso_plugins.imaging.params import GenerateParams

Pipelines = Callable[[str], Path]
STEPS, SEED, SIDE = 6, 11, 32
TINY: dict[str, Any] = {
    "prompt": "mossy grey cobblestone",
    "negative": "blurred",
    "model": "tiny",
    "sampler": "euler",
    "schedule": "karras",
    "steps": STEPS,
    "width": SIDE,
    "height": SIDE,
    "seed": SEED,
}


def theirs(kind: Any, folder: Path, built: dict[str, Any], called: dict[str, Any]) -> tuple[Tensor, list[float]]:
    """diffusers' latents with its Euler scheduler, and the noise levels of its timesteps."""
    warnings.simplefilter("ignore", DeprecationWarning)
    pipeline = kind.from_pretrained(folder, local_files_only=True, safety_checker=None, **built)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config, timestep_spacing="trailing")
    pipeline.scheduler.set_timesteps(STEPS)
    abar = pipeline.scheduler.alphas_cumprod[pipeline.scheduler.timesteps.round().long()].to(torch.float64)
    sigmas = [*(((1 - abar) / abar).sqrt()).tolist(), 0.0]
    noise = initial_noise((1, 4, SIDE // 2, SIDE // 2), SEED)
    latents = pipeline(
        TINY["prompt"],
        negative_prompt=TINY["negative"],
        num_inference_steps=STEPS,
        height=SIDE,
        width=SIDE,
        latents=noise * (sigmas[0] ** 2 + 1) ** 0.5 / pipeline.scheduler.init_noise_sigma,
        output_type="latent",
        **called,
    ).images
    return latents, sigmas


def ours(studio: Any, sigmas: list[float], asked: dict[str, Any]) -> Tensor:
    resolved = studio.resolve("generate", {**TINY, **asked})[0]
    ctx = studio.context()
    task = Sampling(ctx, ctx.model("tiny"), GenerateParams.model_validate(resolved.model_dump()), sigmas)

    def job() -> Any:
        yield from task.prepare()
        return (yield from task.latent(0))

    found: Tensor = studio.run(job())
    return found


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(
    ("guidance", "layers", "theirs_layers"),
    [(4.0, None, ["mid"]), (1.0, None, ["mid"]), (4.0, ["down_blocks.0", "up_blocks.1"], ["down_blocks.0", "up_blocks.1"])],
)
def test_perturbed_attention_equals_that_of_diffusers(
    studio: Any, pipelines: Pipelines, prediction: str, guidance: float, layers: list[str] | None, theirs_layers: list[str]
) -> None:
    folder = pipelines(prediction)
    called = {"guidance_scale": guidance, "pag_scale": 3.0}
    wanted, sigmas = theirs(StableDiffusionPAGPipeline, folder, {"pag_applied_layers": theirs_layers}, called)
    plain, _ = theirs(StableDiffusionPipeline, folder, {}, {"guidance_scale": guidance})
    studio.add("tiny", folder)
    options = {"scale": 3.0} if layers is None else {"scale": 3.0, "layers": layers}
    found = ours(studio, sigmas, {"guidance": guidance, "guidance_extra": {"pag": options}})
    assert error(found, wanted) < 1e-4
    assert error(found, plain) > 1e-3


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_rescaled_guidance_equals_that_of_diffusers(studio: Any, pipelines: Pipelines, prediction: str) -> None:
    folder = pipelines(prediction)
    wanted, sigmas = theirs(StableDiffusionPipeline, folder, {}, {"guidance_scale": 7.0, "guidance_rescale": 0.7})
    plain, _ = theirs(StableDiffusionPipeline, folder, {}, {"guidance_scale": 7.0})
    studio.add("tiny", folder)
    found = ours(studio, sigmas, {"guidance": 7.0, "guidance_rescale": 0.7})
    assert error(found, wanted) < 1e-4
    assert error(found, plain) > 1e-3


def test_a_skipped_layer_equals_that_of_diffusers(pipelines: Pipelines) -> None:
    config = UNet2DConditionModel.load_config(pipelines("epsilon") / "unet", local_files_only=True)
    torch.manual_seed(3)
    unet: Any = UNet2DConditionModel.from_config(config, transformer_layers_per_block=2).requires_grad_(False)
    x, words, t = initial_noise((2, 4, 16, 16), 1), initial_noise((2, 77, 32), 2), torch.tensor([5, 900])
    whole = unet(x, t, words).sample
    for name in layers_of(unet.config):
        made = []
        for asked, indices in ((name, [0, 1]), (f"{name}.transformer_blocks.0", [0]), (f"{name}.transformer_blocks.1", [1])):
            hooked = copy.deepcopy(unet)
            apply_layer_skip(hooked, LayerSkipConfig(indices, fqn=f"{name}.transformer_blocks"))
            with perturbed(unet, Perturbation("skip", (asked,))):
                found = unet(x, t, words).sample
            assert torch.equal(found, hooked(x, t, words).sample)
            assert torch.equal(unet(x, t, words).sample, whole)
            made.append(found)
        assert not any(torch.equal(*pair) for pair in combinations([whole, *made], 2))


def test_the_layers_of_a_card_are_those_of_the_network(pipelines: Pipelines) -> None:
    unet = UNet2DConditionModel.from_pretrained(pipelines("epsilon") / "unet", local_files_only=True)
    there = [name for name, part in unet.named_modules() if hasattr(part, "transformer_blocks")]
    assert sorted(layers_of(unet.config)) == sorted(there)
    assert layers_of(unet.config)[0] == "mid_block.attentions.0"
    sd15 = {
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        "layers_per_block": 2,
    }
    assert len(layers_of(sd15)) == 16
    assert layers_of({"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"], "mid_block_type": None}) == ()


def test_perturbed_rows_of_several_pictures_and_an_unknown_layer(studio: Any, pipelines: Pipelines) -> None:
    studio.add("tiny", pipelines("epsilon"))
    made = studio.make("generate", {**TINY, "count": 2, "guidance_extra": {"pag": 3, "slg": {"scale": 2, "end": 0.5}}}).outputs
    for output in made:
        assert (studio.make("generate", output.params).outputs[0].pixels == output.pixels).all()
    plain = studio.make("generate", TINY).outputs[0].pixels
    assert (made[0].pixels != plain).any()
    card = studio.context().model("tiny")

    def job(layers: tuple[str, ...]) -> Any:
        from gesso.engine import EncodeText, ModelRef

        model = ModelRef(card.name, card.digest)
        yield Load(model)
        (cond,) = yield EncodeText(model, ("moss",))
        return (yield Denoise(model, initial_noise((1, 4, 16, 16), 1), 3.0, (cond,), perturbations=(Perturbation("attention", layers),)))

    with pytest.raises(InvalidRequest, match="no layer 'roof'"):
        studio.run(job(("roof",)))
    with pytest.raises(InvalidRequest, match="no layer 'mid_block'"):
        studio.run(job(("mid_block.attentions.0", "mid_block")))
    one = {"skip_layer": {"layers": ["mid_block.attentions.0.transformer_blocks.0"]}}
    whole = {"skip_layer": {"layers": ["mid_block.attentions.0"]}}
    alike = [studio.make("generate", {**TINY, "guidance_extra": extra}).outputs[0].pixels for extra in (one, whole)]
    assert (alike[0] == alike[1]).all()
    with pytest.raises(InvalidRequest, match=r"no layer 'mid_block\.attentions\.0\.transformer_blocks\.1'"):
        studio.make("generate", {**TINY, "guidance_extra": {"slg": {"layers": ["mid_block.attentions.0.transformer_blocks.1"]}}})
    assert (studio.make("generate", TINY).outputs[0].pixels == plain).all()
