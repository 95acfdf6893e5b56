"""Models in less room: autoencoders in strips, parts that take turns, linear layers in 8 bits, networks compiled or channels last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.loras import factors, write_diffusers
from tests.plugins.diffusion.unets import build_sd, build_xl

from gesso.device.residency import Housekeeping, ModelPool
from gesso.errors import OutOfMemory
from gesso.model import Thrift
from gesso.testing import Studio
from gesso_plugins.diffusion.codec import Codec
from gesso_plugins.diffusion.holding import Int8Linear, size_of

CPU = torch.device("cpu")
KIB = 2**10
MAKERS: dict[str, Callable[[Path], Path]] = {
    "stable-diffusion": build_sd,
    "stable-diffusion-xl": build_xl,
    "stable-diffusion-3": tiny.sd3,
    "flux": tiny.flux,
    "z-image": tiny.z_image,
}


def autoencoder() -> Any:
    """Of the true depth: four levels, two blocks on each, groups to be normalised."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    vae = AutoencoderKL(block_out_channels=(32, 32, 64, 64), layers_per_block=2, norm_num_groups=8, **kinds)
    for parameter in vae.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.02)  # as built, norms change nothing and biases are all zero
    return vae.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def vae() -> Any:
    return autoencoder()


@pytest.mark.parametrize("axes", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("workspace", [800 * KIB, 4000 * KIB])
def test_strips_equal_the_whole(vae: Any, axes: tuple[bool, bool], workspace: int) -> None:
    whole, short = Codec(vae, 4, CPU), Codec(vae, 4, CPU)
    short.hold(Thrift(workspace))
    latents, images = torch.randn(2, 4, 26, 10), torch.rand(1, 3, 208, 80)
    rows: list[int] = []
    with torch.no_grad():
        wanted, read = whole.decode(latents), whole.encode(images)
        hook = vae.decoder.conv_out.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0].shape[2]))
        padding = short.seamless(*axes)
        if any(axes):
            assert not torch.allclose(whole.decode(latents), wanted, atol=1e-3)  # the padding is heard
            wanted, read = whole.decode(latents), whole.encode(images)
        rows.clear()
        found, written = short.decode(latents), short.encode(images)
        padding.eject()
        hook.remove()
    assert len(rows) > 2
    assert max(rows) < 208
    assert torch.allclose(found, wanted, atol=1e-5)
    assert torch.allclose(written, read, atol=1e-5 * float(read.abs().max()))


def test_strips_wrap_where_the_picture_does(vae: Any) -> None:
    codec, latents = Codec(vae, 4, CPU), torch.randn(1, 4, 26, 10)
    codec.hold(Thrift(800 * KIB))
    with torch.no_grad():
        padding = codec.seamless(True, True)
        found, rolled = codec.decode(latents), codec.decode(latents.roll(5, 2))
        padding.eject()
        plain = codec.decode(latents)
    assert torch.allclose(found.roll(40, 2), rolled, atol=1e-5)
    assert not torch.allclose(plain.roll(40, 2), rolled, atol=1e-3)


def test_a_gradient_goes_through_the_whole(vae: Any) -> None:
    codec, latents = Codec(vae, 4, CPU), torch.randn(1, 4, 26, 10, requires_grad=True)
    codec.hold(Thrift(800 * KIB))
    codec.decode(latents).mean().backward()
    assert latents.grad is not None
    assert latents.grad.abs().max() > 0


@pytest.fixture(params=MAKERS)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(family: str, tmp_path: Path) -> Path:
    return MAKERS[family](tmp_path)


def frugal(studio: Studio, house: Housekeeping) -> ModelPool:
    """The studio's models, on a device of this size."""
    studio.pool = ModelPool(studio.catalogue, CPU, house)
    return studio.pool


def pixels(studio: Studio, **params: Any) -> Any:
    return (
        studio.make("generate", {"prompt": "moss", "model": "tiny", "width": 32, "height": 32, "seed": 1, "steps": 3, **params})
        .outputs[0]
        .pixels
    )


def loaded(studio: Studio) -> Any:
    card = studio.context().model("tiny")
    with studio.pool.using(card) as model:
        return model


@pytest.mark.families
def test_parts_take_turns_where_they_do_not_fit_together(studio: Studio, folder: Path, family: str) -> None:
    studio.add("tiny", folder, family)
    wanted = pixels(studio)
    sizes = {name: part.numbers * 4 for name, part in studio.context().model("tiny").parts.items()}
    pool = frugal(studio, Housekeeping(sum(sizes.values()) - 1))
    assert np.array_equal(pixels(studio), wanted)
    model = loaded(studio)
    assert pool.resident == {"tiny": model.nbytes}
    assert max(sizes.values()) <= model.nbytes <= max(sizes.values()) * 1.01 < sum(sizes.values())
    assert model.turns.moves == 3  # words, denoiser, codec
    assert model.turns.on_device <= pool.budget


@pytest.mark.families
def test_a_lora_and_a_wrapped_picture_go_through_parts_that_take_turns(studio: Studio, tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    folder = build_sd(tmp_path)
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True, safety_checker=None)
    studio.add("tiny", folder)
    studio.add("look", write_diffusers(factors(pipeline, 5), tmp_path / "look.safetensors"), "lora")
    asked = {"lora": {"look": 1.0}, "tile": "xy"}
    plain, wanted = pixels(studio), pixels(studio, **asked)
    frugal(studio, Housekeeping(thrift=Thrift(offload="always")))
    assert np.array_equal(pixels(studio, **asked), wanted)
    assert np.array_equal(pixels(studio), plain)
    assert loaded(studio).turns is not None


@pytest.mark.families
def test_what_does_not_fit_is_refused_with_what_would_help(studio: Studio, tmp_path: Path) -> None:
    studio.add("tiny", build_xl(tmp_path), "stable-diffusion-xl")
    parts = studio.context().model("tiny").parts.values()
    largest = max(part.nbytes(4, int8=False) for part in parts)
    whole = frugal(studio, Housekeeping(largest, Thrift(offload="never")))
    with pytest.raises(OutOfMemory) as caught:
        whole.check_fits(studio.context().model("tiny"))
    assert "worker.offload auto" in str(caught.value.hint)
    parted = frugal(studio, Housekeeping(largest - 1))
    with pytest.raises(OutOfMemory, match="at once") as caught:
        parted.check_fits(studio.context().model("tiny"))
    assert "worker.quantise int8" in str(caught.value.hint)
    frugal(studio, Housekeeping(largest - 1, Thrift(int8=True))).check_fits(studio.context().model("tiny"))


@pytest.mark.families
def test_linear_layers_in_eight_bits(studio: Studio, folder: Path, family: str) -> None:
    studio.add("tiny", folder, family)
    wanted, full = pixels(studio).astype(float), loaded(studio)
    frugal(studio, Housekeeping(thrift=Thrift(int8=True)))
    found, model = pixels(studio).astype(float), loaded(studio)
    layers = [layer for layer in model.denoiser.network.modules() if isinstance(layer, torch.nn.Linear)]
    assert layers
    assert all(isinstance(layer, Int8Linear) for layer in layers)
    assert model.nbytes < full.nbytes * 0.85
    assert 0 < np.abs(found - wanted).mean() < 4


def test_eight_bits_are_half_a_step_away_at_most() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(48, 16)
    with torch.no_grad():
        layer.weight[3] = 0
    held = Int8Linear(layer)
    step = layer.weight.abs().amax(dim=1, keepdim=True) / 127
    assert ((held.weight - layer.weight).abs() <= step * 0.501).all()
    x = torch.randn(2, 5, 48)
    assert torch.allclose(held(x), layer(x), atol=0.05)
    assert size_of(held) == 16 * 48 + 16 * 4 + 16 * 4


@pytest.mark.families
def test_channels_last_changes_nothing_that_is_seen(studio: Studio, folder: Path, family: str) -> None:
    studio.add("tiny", folder, family)
    wanted = pixels(studio).astype(float)
    frugal(studio, Housekeeping(thrift=Thrift(channels_last=True)))
    assert np.abs(pixels(studio, tile="none").astype(float) - wanted).max() <= 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own code, which the compiler traces
def test_compiled_networks_make_the_same_picture(studio: Studio, tmp_path: Path) -> None:
    studio.add("tiny", build_sd(tmp_path))
    wanted, wrapped = pixels(studio).astype(float), pixels(studio, tile="xy").astype(float)
    frugal(studio, Housekeeping(thrift=Thrift(compiled=True)))
    assert np.abs(pixels(studio).astype(float) - wanted).max() <= 1
    assert np.abs(pixels(studio, tile="xy").astype(float) - wrapped).max() <= 1
    assert np.abs(pixels(studio).astype(float) - wanted).max() <= 1
