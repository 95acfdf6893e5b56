"""What holds for every family of rectified flow: rows stand for themselves, pictures can be started from, wrapping leaves no trace."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import diffusers_pipeline, ours, theirs
from tests.plugins.diffusion.oracles import SEED, SIDE, apart, picture

from gesso.engine import EncodeImage, Engine, Hooks, ModelRef, Ticket
from gesso.media import images
from gesso.model import Conditioning, Seamless
from gesso.worker.context import validated
from gesso_plugins.diffusion.flux import unpacked
from gesso_plugins.diffusion.model import LatentDiffusion

pytestmark = pytest.mark.families
MAKERS: dict[str, Callable[[Path], Path]] = {"stable-diffusion-3": tiny.sd3, "flux": tiny.flux, "z-image": tiny.z_image}
IMAGE_TO_IMAGE = {
    "stable-diffusion-3": "StableDiffusion3Img2ImgPipeline",
    "flux": "FluxImg2ImgPipeline",
    "z-image": "ZImageImg2ImgPipeline",
}


@pytest.fixture(scope="module", params=MAKERS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    family = str(request.param)
    return family, MAKERS[family](tmp_path_factory.mktemp(family))


@pytest.fixture
def model(studio: Any, made: tuple[str, Path]) -> Any:
    studio.add("tiny", made[1], made[0])
    family, card = studio.registry.family(made[0]), studio.context().model("tiny")
    return family.load(card, torch.device("cpu"))


def rows(model: Any, *texts: str) -> Conditioning:
    conds = model.encode_text(texts)
    extras = {"guidance": torch.full((len(texts),), 3.5)} if model.card.embeds_guidance else {}
    pooled = None if conds[0].pooled is None else torch.cat([cond.pooled for cond in conds])
    return Conditioning(torch.cat([cond.tokens for cond in conds]), pooled, extras)


def test_rows_at_different_levels_are_answered_each_for_itself(model: Any) -> None:
    x, sigma = torch.randn(2, 16, 16, 16), torch.tensor([0.3, 0.9])
    with torch.no_grad(), model.patched([Seamless(True, True)]):
        both = model.denoise(x, sigma, rows(model, "one", "two"))
        for row, text in enumerate(("one", "two")):
            alone = model.denoise(x[row : row + 1], sigma[row : row + 1], rows(model, text))
            assert torch.allclose(both[row : row + 1], alone, atol=1e-4)


def test_wrapping_rolls_along_its_axes_only_and_leaves_no_trace(model: Any) -> None:
    cond, x, sigma = rows(model, "one"), torch.randn(1, 16, 16, 16), torch.tensor([0.7])

    def denoised(*patches: Seamless, at: torch.Tensor = x) -> torch.Tensor:
        with torch.no_grad(), model.patched(patches):
            found: torch.Tensor = model.denoise(at, sigma, cond)
        return found

    plain, across, both = denoised(), denoised(Seamless(True, False)), denoised(Seamless(True, True))
    assert not torch.allclose(plain, across, atol=1e-6)
    assert not torch.allclose(across, both, atol=1e-6)
    assert torch.equal(denoised(), plain)
    shift = next(n for n in range(0, 16, 2) if torch.equal(torch.roll(denoised(at=torch.roll(x, n, 3)), -n, 3), across))
    assert shift > 0


def test_what_is_wrapped_rolls_with_its_latent(model: Any) -> None:
    latents = torch.randn(1, 16, 8, 8)
    with torch.no_grad(), model.patched([Seamless(True, True)]):
        whole, rolled = model.decode(latents), model.decode(torch.roll(latents, (3, 2), (2, 3)))
    assert torch.allclose(torch.roll(whole, (6, 4), (2, 3)), rolled, atol=1e-4)


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_latents_from_a_picture_equal_those_of_diffusers(studio: Any, made: tuple[str, Path], strength: float) -> None:
    family, folder = made
    name, data = picture()
    studio.add("tiny", folder, family)
    card = studio.context().model("tiny")

    def encoded() -> Any:
        return (yield EncodeImage(ModelRef("tiny", card.digest), images.to_planes(data, SIDE, SIDE)))

    start = studio.run(encoded())
    pipeline = diffusers_pipeline(IMAGE_TO_IMAGE[family], folder)
    pipeline.vae.encode = None  # the latent goes in, so that no sample of the encoder's distribution is drawn
    scale = 3.5 if family == "flux" else 0.0 if family == "z-image" else 1.0
    arguments: dict[str, Any] = {"image": start, "strength": strength, "guidance_scale": scale, "latents": None}
    wanted, sigmas = theirs(pipeline, generator=torch.Generator("cpu").manual_seed(SEED), **arguments)
    found = ours(studio, folder, family, sigmas, {name: data}, image={"sha256": name}, strength=strength, guidance=max(scale, 1.0))
    assert apart(found, unpacked(wanted, SIDE // 2, SIDE // 2) if family == "flux" else wanted) < 1e-4


def test_pictures_are_made_with_the_model_s_own_settings(studio: Any, made: tuple[str, Path]) -> None:
    studio.add("tiny", made[1], made[0])
    asked = {"prompt": "moss", "model": "tiny", "width": 32, "height": 48, "seed": 1, "steps": 3, "tile": "x"}
    result = studio.make("generate", asked)
    assert result.outputs[0].pixels.shape == (48, 32, 3)
    assert (result.params.sampler, result.params.guidance) == ("euler", studio.context().model("tiny").defaults.guidance)
    assert np.array_equal(result.outputs[0].pixels, studio.make("generate", asked).outputs[0].pixels)


def test_jobs_of_strangers_share_forwards_at_level_fast(studio: Any, made: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    family, folder = made
    studio.add("tiny", folder, family)
    rows: list[tuple[int, int]] = []
    denoise = LatentDiffusion.denoise

    def counted(model: Any, x: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        rows.append((len(x), len(set(sigma.tolist()))))
        return denoise(model, x, sigma, cond)

    monkeypatch.setattr(LatentDiffusion, "denoise", counted)
    ended: dict[str, Any] = {}
    ticks = itertools.count()  # every forward costs the same, so that two rows in one are the cheaper ones on any machine
    hooks = Hooks(lambda job, event: ended.update({job: event}), clock=lambda: float(next(ticks)))
    engine = Engine(studio.pool, studio.threads, hooks)
    operation = studio.registry.operation("generate")
    common = {"prompt": "moss", "model": "tiny", "width": 32, "height": 32, "guidance": 1.0}
    for client, steps in (("a", 12), ("b", 16)):
        ctx = studio.context()
        job = operation.run(ctx, operation.resolve(ctx, validated(operation, {**common, "seed": 1, "steps": steps})))
        engine.start(Ticket(client, client=client, level="fast"), job)
    engine.run()
    assert [end.state for end in ended.values()] == ["done", "done"]
    assert max(rows) == (2, 2), "rows of two jobs at levels of their own in one forward"
