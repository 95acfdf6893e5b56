"""What Gesso's engine makes of Karlo's parts equals what diffusers' own pipelines make of them, with the same noise (float32)."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.plugins.unclip.pipelines import LARGE, PREPARING, SMALL, WIDTH, pipeline, precise

from gesso.engine import Denoised
from gesso.math import Noise, initial_noise, seed_of
from gesso.media import png
from gesso.media.preparing import Preparing
from gesso.model import Parametrisation
from gesso.model.border import parametrisation_of
from gesso_plugins.imaging.cascade import unfolding
from gesso_plugins.imaging.params import GenerateParams
from gesso_plugins.samplers.ddpm import ddpm

SEED, STEPS = 11, {"prior": 4, "decoder": 5, "upsampler": 3}
SHAPES = {"prior": (1, WIDTH), "decoder": (1, 3, SMALL, SMALL), "upsampler": (1, 3, LARGE, LARGE)}
pytestmark = pytest.mark.filterwarnings("ignore")


def seeds(seed: int) -> dict[str, int]:
    return {name: seed_of(seed, name) for name in SHAPES}


@pytest.fixture
def same_noise(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], dict[str, torch.Tensor]]:
    """diffusers' schedulers draw what Gesso's samplers draw: the noise of each part by its shape."""

    def prepare(seed: int) -> dict[str, torch.Tensor]:
        drawing = {shape: Noise(shape, seeds(seed)[name]) for name, shape in SHAPES.items()}
        channels = {6: 3}

        def drawn(shape: Any, **_: Any) -> torch.Tensor:
            key = (shape[0], channels.get(shape[1], shape[1]), *shape[2:])
            return drawing[key](0.0, 0.0)

        monkeypatch.setattr("diffusers.schedulers.scheduling_unclip.randn_tensor", drawn)
        return {f"{name}_latents": initial_noise(shape, seeds(seed)[name]) for name, shape in SHAPES.items()}

    return prepare


def theirs(pipeline: Any, latents: dict[str, torch.Tensor], **arguments: Any) -> torch.Tensor:
    """The picture (1, H, W, 3) of diffusers in 0..1."""
    steps = {f"{name.replace('upsampler', 'super_res')}_num_inference_steps": count for name, count in STEPS.items()}
    noise = {name.replace("upsampler", "super_res"): value for name, value in latents.items()}
    asked = {**steps, **noise, "output_type": "np", **arguments}
    with torch.no_grad():
        return torch.from_numpy(pipeline(**{name: value for name, value in asked.items() if value is not ...}).images)


class Parts:
    """Gesso's parts of one picture, each run by the engine."""

    def __init__(self, studio: Any, folder: Path, blobs: dict[str, bytes] | None = None, **params: Any) -> None:
        studio.add("karlo", folder, "unclip")
        options = {"unclip": {"prior_steps": STEPS["prior"], "upsampler_steps": STEPS["upsampler"]} | params.pop("options", {})}
        asked = {"prompt": "mossy brick", "model": "karlo", "seed": SEED, "steps": STEPS["decoder"], "options": options, **params}
        resolved, _ = studio.resolve("generate", asked)
        ctx = studio.context(blobs)
        assert isinstance(resolved, GenerateParams)
        self._studio = studio
        self._task = studio.run(_prepared(ctx, resolved))

    def run(self, part: str, *given: Any) -> torch.Tensor:
        found: torch.Tensor = self._studio.run(getattr(self._task, part)(0, *given))
        return found


def _prepared(ctx: Any, params: GenerateParams) -> Iterator[Any]:
    task = yield from unfolding(ctx, ctx.model(params.model), params)
    yield from task.prepare()
    return task


def apart(found: torch.Tensor, wanted: torch.Tensor) -> float:
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("scales", [(8.0, 4.0), (1.0, 1.0)])
def test_every_part_equals_the_pipeline_s(
    studio: Any, karlo: Path, parts: dict[str, Any], same_noise: Any, monkeypatch: pytest.MonkeyPatch, scales: tuple[float, float]
) -> None:
    guidance, prior_guidance = scales
    made = pipeline(parts)
    seen: dict[str, torch.Tensor] = {}
    project, resize = type(parts["text_proj"]).forward, torch.nn.functional.interpolate

    def told(self: Any, **inputs: Any) -> Any:
        seen.setdefault("embedding", inputs["image_embeddings"])
        return project(self, **inputs)

    @functools.wraps(resize)  # diffusers looks at its signature
    def scaled(value: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if value.shape == (1, 3, SMALL, SMALL):
            seen.setdefault("small", value)
        return resize(value, *args, **kwargs)

    monkeypatch.setattr(type(parts["text_proj"]), "forward", told)
    monkeypatch.setattr("diffusers.pipelines.deprecated.unclip.pipeline_unclip.F.interpolate", scaled)
    told_too = {"decoder_guidance_scale": guidance, "prior_guidance_scale": prior_guidance}
    wanted = theirs(made, same_noise(SEED), prompt="mossy brick", **told_too)
    monkeypatch.undo()
    ours = Parts(studio, karlo, guidance=guidance, options={"prior_guidance": prior_guidance})
    embedding = ours.run("embedding")
    assert apart(embedding, seen["embedding"]) < 1e-4
    small = ours.run("small", seen["embedding"])
    assert apart(small, seen["small"]) < 1e-4
    large = ours.run("large", seen["small"])
    assert apart((large / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1), wanted) < 1e-4
    whole = ours.run("large", ours.run("small", embedding))
    assert apart((whole / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1), wanted) < 1e-4


def test_a_job_gives_the_pipeline_s_picture(making: Any, parts: dict[str, Any], same_noise: Any) -> None:
    made = pipeline(parts)
    steps = {f"{name}_num_inference_steps": 3 for name in ("prior", "decoder", "super_res")}
    wanted = theirs(made, same_noise(6), prompt="mossy brick", **steps)[0].numpy()
    output = making(count=2, guidance=8.0, bits=16).outputs[1]
    assert np.abs(output.pixels / 65535 - wanted).max() < 1e-4


def test_a_variation_equals_the_pipeline_s(studio: Any, karlo: Path, parts: dict[str, Any], same_noise: Any) -> None:
    """Its image encoder is shown the picture as the directory's settings say. At the highest level x0 is (x - noise) / 5e-5, so that a
    pixel that is not clipped there has three digits in float32; this picture has none.
    """
    pixels = np.random.default_rng(5).integers(0, 256, (LARGE, LARGE, 3), np.uint8)
    data = png.write(pixels, {})
    made = pipeline(parts, "UnCLIPImageVariationPipeline")
    shown = Preparing(32, True, PREPARING["image_mean"], PREPARING["image_std"])([pixels])  # type: ignore[arg-type]
    noise = same_noise(SEED) | {"prior_latents": ...}
    wanted = theirs(made, noise, image=shown, prior_num_inference_steps=..., decoder_guidance_scale=8.0)
    name = hashlib.sha256(data).hexdigest()
    ours = Parts(studio, karlo, {name: data}, prompt="", like={"sha256": name}, guidance=8.0)
    embedding = ours.run("embedding")
    assert apart(embedding, parts["image_encoder"](shown).image_embeds.detach()) < 1e-5
    whole = ours.run("large", ours.run("small", embedding))
    assert apart((whole / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1), wanted) < 1e-4


@pytest.mark.parametrize("kind", ["fixed_small_log", "learned_range"])
@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
def test_a_step_is_the_scheduler_s(monkeypatch: pytest.MonkeyPatch, kind: str, prediction: str) -> None:
    """Every step of ddpm is UnCLIPScheduler's, whatever is predicted and however the variance comes about."""
    import diffusers

    config = {"variance_type": kind, "prediction_type": prediction, "clip_sample": False}
    scheduler = precise(diffusers.UnCLIPScheduler(**config))
    levels: Parametrisation = parametrisation_of({**config, "beta_schedule": "squaredcos_cap_v2"})
    scheduler.set_timesteps(4)
    times = scheduler.timesteps.tolist()
    sigmas = [*(levels.sigmas[t] for t in times), 0.0]
    rng = torch.Generator().manual_seed(1)
    outputs = [torch.randn(1, 6 if kind == "learned_range" else 3, 4, 4, generator=rng) for _ in times]
    noise = Noise((1, 3, 4, 4), 9)
    sampler = ddpm(initial_noise((1, 3, 4, 4), 2) * (1 + sigmas[0] ** 2) ** 0.5, sigmas, noise=noise, parametrisation=levels)
    wanted, drawn = initial_noise((1, 3, 4, 4), 2), Noise((1, 3, 4, 4), 9)
    monkeypatch.setattr("diffusers.schedulers.scheduling_unclip.randn_tensor", lambda *_, **__: drawn(0.0, 0.0))
    x, sigma = next(sampler)
    for t, following, output in zip(times, [*times[1:], None], outputs, strict=True):
        assert torch.allclose(x * (1 + sigma**2) ** -0.5, wanted, rtol=1e-4, atol=1e-5)
        x0 = x - sigma * output[:, :3] if prediction == "epsilon" else output[:, :3]
        spread = (output[:, 3:] + 1) / 2 if kind == "learned_range" else None
        wanted = scheduler.step(output, t, wanted, prev_timestep=following).prev_sample
        try:
            x, sigma = sampler.send(Denoised(x0, x0, (), spread))
        except StopIteration as end:
            x, sigma = end.value, 0.0
    assert torch.allclose(x, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
