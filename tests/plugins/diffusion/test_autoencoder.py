"""Autoencoders on their own: in the place of a checkpoint's for one job, as a directory and as one file, with the checkpoint's scale."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.plugins.diffusion.originals import codec_weights
from tests.plugins.diffusion.unets import autoencoder, build_real, build_sd

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso_plugins.diffusion.autoencoder import AutoencoderFamily

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


def test_other_latents_and_other_files_are_refused(studio: Any, tmp_path: Path) -> None:
    autoencoder(latent_channels=16).save_pretrained(tmp_path / "wide")
    add(studio, tmp_path / "wide", "wide")
    studio.add("tiny", build_sd(tmp_path / "base"))
    with pytest.raises(InvalidRequest, match="its latents are not those of 'tiny'") as caught:
        studio.make("generate", {**ASK, "vae": "wide"})
    assert caught.value.field == "vae"
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="is no autoencoder in the original layout"):
        AutoencoderFamily().inspect(ModelEntry("a", "autoencoder", "A", tmp_path / "a.safetensors", ()))
