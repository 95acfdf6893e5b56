"""Autoencoders on their own: in the place of a checkpoint's for one job, as a directory and as one file, with the checkpoint's scale."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file
from tests.plugins.diffusion.originals import codec_weights
from tests.plugins.diffusion.unets import autoencoder, build_real, build_sd

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.plugin import ScoreContext, ScorerSpec
from gesso_plugins.diffusion.autoencoder import AutoencoderFamily
from gesso_plugins.diffusion.codec import Codec

pytestmark = pytest.mark.families
ASK = {"prompt": "moss", "model": "tiny", "seed": 1, "width": 32, "height": 32, "steps": 2}


def add(studio: Any, path: Path, name: str) -> None:
    studio.registry.models = (*studio.registry.models, ModelEntry(name, "autoencoder", name, path, ("vae",), kind="vae"))


@pytest.mark.parametrize("prefix", ["", "first_stage_model."])
def test_another_autoencoder_for_one_job(studio: Any, tmp_path: Path, prefix: str) -> None:
    base = build_real(tmp_path / "base", "sd1")
    torch.manual_seed(9)
    other = Path(shutil.copytree(base, tmp_path / "other"))
    autoencoder(block_out_channels=(32, 64), norm_num_groups=32, scaling_factor=0.18215).save_pretrained(other / "vae")
    path = tmp_path / "vae.safetensors"
    save_file({prefix + key.removeprefix("first_stage_model."): value.contiguous() for key, value in codec_weights(other).items()}, path)
    add(studio, other / "vae", "folder")
    add(studio, path, "file")
    studio.add("tiny", base)
    studio.add("whole", other)
    wanted = studio.make("generate", {**ASK, "model": "whole"}).outputs[0].pixels
    plain = studio.make("generate", ASK).outputs[0].pixels
    for name in ("folder", "file"):
        assert np.array_equal(studio.make("generate", {**ASK, "vae": name}).outputs[0].pixels, wanted)
    assert not np.array_equal(plain, wanted)
    assert np.array_equal(studio.make("generate", ASK).outputs[0].pixels, plain)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A tiny autoencoder as published: as a directory, and in halves beside it, the decoder's layers counted from its clamp."""
    torch.manual_seed(4)
    levels = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    made = AutoencoderTiny(**levels, num_encoder_blocks=(1, 3), num_decoder_blocks=(3, 1))
    made.save_pretrained(tmp_path / "tiny")
    for half, shift in (("encoder", 0), ("decoder", 1)):
        weights = {}
        for key, value in getattr(made, half).layers.state_dict().items():
            number, _, rest = key.partition(".")
            weights[f"{int(number) + shift}.{rest}"] = value
        save_file(weights, tmp_path / f"taesd_{half}.safetensors")
    return tmp_path / "tiny"


def test_a_tiny_one_makes_the_latents_and_pictures_of_diffusers(studio: Any, tmp_path: Path, tiny: Path) -> None:
    theirs = AutoencoderTiny.from_pretrained(tiny, local_files_only=True)
    codec = Codec(autoencoder(), 4, torch.device("cpu"))
    generator = torch.Generator().manual_seed(2)
    latents, pictures = torch.randn(1, 4, 6, 6, generator=generator), torch.rand(1, 3, 32, 32, generator=generator)
    with torch.no_grad():
        wanted = theirs.decode(latents).sample.mul(0.5).add(0.5).clamp(0, 1), theirs.encode(pictures * 2 - 1).latents
        for path in forms(tmp_path, tiny).values():
            card = AutoencoderFamily().inspect(ModelEntry("a", "autoencoder", "A", path, ("vae",), kind="taesd"))
            exchanged = codec.exchanged(AutoencoderFamily().load(card, torch.device("cpu")).network)
            assert exchanged is not None
            assert torch.allclose(exchanged.decode(latents), wanted[0], rtol=1e-4, atol=1e-5), path  # channels last: other orders of sums
            assert torch.allclose(exchanged.encode(pictures), wanted[1], rtol=1e-4, atol=1e-5), path


def test_a_tiny_one_for_one_job(studio: Any, tmp_path: Path, tiny: Path) -> None:
    studio.add("tiny", build_sd(tmp_path / "base"))
    asked = {**ASK, "tile": "xy"}
    plain = studio.make("generate", asked).outputs[0].pixels
    found = []
    for name, path in forms(tmp_path, tiny).items():
        add(studio, path, name)
        found.append(studio.make("generate", {**asked, "vae": name}).outputs[0].pixels)
    assert all(np.array_equal(found[0], other) for other in found[1:])
    assert found[0].shape == plain.shape
    assert not np.array_equal(found[0], plain)
    assert np.array_equal(studio.make("generate", asked).outputs[0].pixels, plain)


def forms(folder: Path, tiny: Path) -> dict[str, Path]:
    return {"folder": tiny, "file": tiny / "diffusion_pytorch_model.safetensors", "halves": folder / "taesd_decoder.safetensors"}


def test_a_half_without_the_other_is_refused(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "taesd_encoder.safetensors").unlink()
    with pytest.raises(ModelError, match="the encoding half is not beside it"):
        AutoencoderFamily().inspect(ModelEntry("a", "autoencoder", "A", tmp_path / "taesd_decoder.safetensors", ()))


def test_other_latents_and_other_files_are_refused(studio: Any, tmp_path: Path) -> None:
    autoencoder(latent_channels=16).save_pretrained(tmp_path / "wide")
    AutoencoderTiny(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4).save_pretrained(tmp_path / "coarse")
    studio.add("tiny", build_sd(tmp_path / "base"))
    for name in ("wide", "coarse"):
        add(studio, tmp_path / name, name)
        with pytest.raises(InvalidRequest, match="its latents are not those of 'tiny'") as caught:
            studio.make("generate", {**ASK, "vae": name})
        assert caught.value.field == "vae"
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="is no autoencoder in the original layout"):
        AutoencoderFamily().inspect(ModelEntry("a", "autoencoder", "A", tmp_path / "a.safetensors", ()))


def test_drafts_are_judged_through_a_tiny_one_and_pictures_made_by_the_own(studio: Any, tmp_path: Path, tiny: Path) -> None:
    studio.add("tiny", build_sd(tmp_path / "base"))
    add(studio, tiny, "quick")
    judged: list[list[np.ndarray[Any, Any]]] = []

    def score(ctx: ScoreContext) -> Any:
        judged.append(list(ctx.pictures))
        yield from ()
        return [float(picture[..., 0].mean()) for picture in ctx.pictures]

    studio.registry.scorers.add("red", ScorerSpec("red", score, "Red", "none"), "test")
    chosen = {**ASK, "steps": 4, "tile": "xy", "best_of": 3, "keep": 1, "score": {"red": 1}}
    for way in ({"draft": 2}, {"prune": [0.5]}):
        judged.clear()
        plain = studio.make("generate", {**chosen, **way}).outputs[0]
        through = studio.make("generate", {**chosen, **way, "preview_vae": "quick"}).outputs[0]
        own, final, quick, last = judged
        assert not any(np.array_equal(a, b) for a, b in zip(own, quick, strict=True))
        assert np.array_equal(final[0], plain.pixels)
        assert np.array_equal(last[0], through.pixels)
        assert through.params["preview_vae"] is None
        alone = studio.make("generate", through.params).outputs[0]
        assert np.array_equal(alone.pixels, through.pixels), "the picture itself is the own autoencoder's"


def test_an_autoencoder_of_drafts_needs_drafts(studio: Any, tmp_path: Path, tiny: Path) -> None:
    studio.add("tiny", build_sd(tmp_path / "base"))
    add(studio, tiny, "quick")
    with pytest.raises(InvalidRequest, match="none is decoded") as alone:
        studio.resolve("generate", {**ASK, "preview_vae": "quick"})
    with pytest.raises(InvalidRequest) as wrong:
        studio.resolve("generate", {**ASK, "steps": 4, "best_of": 3, "draft": 2, "preview_vae": "tiny"})
    assert (alone.value.field, wrong.value.field) == ("preview_vae", "preview_vae")
