"""SD 3 and Flux.1 in their authors' layout give the same latents as the directory that they were written from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.plugins.diffusion import transformer_originals as originals
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import ours
from tests.plugins.diffusion.oracles import apart

from gesso.errors import ModelError
from gesso.library import examine, read_layouts
from gesso.manifest import ModelEntry, first_party
from gesso_plugins.diffusion.flux import FluxFamily
from gesso_plugins.diffusion.sd3 import StableDiffusion3Family
from gesso_plugins.diffusion.transformer_names import flux_weights

pytestmark = pytest.mark.families
Folders = Callable[[str], Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    made: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family not in made:
            maker = tiny.flux if family == "flux" else tiny.sd3
            made[family] = maker(tmp_path_factory.mktemp(family), real=True)
        return made[family]

    return get


def written(weights: dict[str, torch.Tensor], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous().clone() for key, value in weights.items()}, path)
    return path


def whole(folder: Path, family: str, path: Path) -> Path:
    """Everything in one file, as ComfyUI's checkpoints have it, and T5's vocabulary beside it."""
    flux = family == "flux"
    transformer = originals.flux(folder) if flux else originals.sd3(folder)
    weights = {f"model.diffusion_model.{key}": value for key, value in transformer.items()}
    weights |= originals.codec(folder, "vae." if flux else "first_stage_model.")
    weights |= originals.text(folder, "text_encoder", "text_encoders.clip_l.transformer.")
    weights |= originals.text(folder, "text_encoder_2", f"text_encoders.{'t5xxl' if flux else 'clip_g'}.transformer.")
    if not flux:
        weights |= originals.text(folder, "text_encoder_3", "text_encoders.t5xxl.transformer.")
    shutil.copytree(folder / ("tokenizer_2" if flux else "tokenizer_3"), path.parent / "t5_tokenizer")
    return written(weights, path)


def apart_from_the_directory(studio: Any, folder: Path, family: str, path: Path) -> float:
    studio.add("file", path, family)
    sigmas = [1.0, 0.7, 0.3, 0.0]
    return apart(ours(studio, path, family, sigmas, model="file", guidance=2.0), ours(studio, folder, family, sigmas, guidance=2.0))


@pytest.mark.parametrize("family", ["flux", "stable-diffusion-3"])
def test_one_file_gives_the_latents_of_the_directory(studio: Any, folders: Folders, tmp_path: Path, family: str) -> None:
    path = whole(folders(family), family, tmp_path / "model.safetensors")
    assert examine(path, read_layouts(first_party())).family == family
    assert apart_from_the_directory(studio, folders(family), family, path) < 1e-5
    own, directory = (studio.context().model(name) for name in ("file", "tiny"))
    assert own.levels(512, 512).sigmas == directory.levels(512, 512).sigmas
    assert own.embeds_guidance == directory.embeds_guidance


def test_parts_are_found_in_the_folders_where_artists_keep_them(studio: Any, folders: Folders, tmp_path: Path) -> None:
    folder = folders("flux")
    written(originals.codec(folder, ""), tmp_path / "vae" / "ae.safetensors")
    written(originals.text(folder, "text_encoder", ""), tmp_path / "clip" / "clip_l.safetensors")
    written({"decoder.conv_in.weight": torch.zeros(8, 4, 3, 3)}, tmp_path / "vae" / "other.safetensors")
    (tmp_path / "vae" / "broken.safetensors").write_bytes(b"PK\x03\x04" + bytes(99))
    path = written(originals.flux(folder), tmp_path / "unet" / "flux1-dev.safetensors")
    entry = ModelEntry("file", "flux", "File", path, ())
    with pytest.raises(ModelError, match=r"comes without T5-XXL"):
        FluxFamily().inspect(entry)
    text = written(originals.text(folder, "text_encoder_2", ""), tmp_path / "text_encoders" / "t5xxl.safetensors")
    with pytest.raises(ModelError, match=r"vocabulary of T5") as caught:
        FluxFamily().inspect(entry)
    assert "t5_tokenizer" in str(caught.value.hint)
    shutil.copytree(folder / "tokenizer_2", path.parent / "t5_tokenizer")
    assert apart_from_the_directory(studio, folder, "flux", path) < 1e-5
    before = FluxFamily().inspect(entry).digest
    written({**originals.text(folder, "text_encoder_2", ""), "extra": torch.zeros(1)}, text)
    assert FluxFamily().inspect(entry).digest != before


def test_sd3_goes_without_t5_where_its_vocabulary_is_missing(folders: Folders, tmp_path: Path) -> None:
    path = whole(folders("stable-diffusion-3"), "stable-diffusion-3", tmp_path / "model.safetensors")
    shutil.rmtree(tmp_path / "t5_tokenizer")
    card = StableDiffusion3Family().inspect(ModelEntry("file", "stable-diffusion-3", "File", path, ()))
    assert "T5" in card.info["without"]
    with pytest.raises(ModelError, match="no checkpoint of this family"):
        FluxFamily().inspect(ModelEntry("file", "flux", "File", path, ()))


def test_flux_names_are_those_that_diffusers_finds() -> None:
    """Its function knows one width only, so all other sides are small here."""
    from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers

    width, side = 3072, 2
    rows = {"img_attn.qkv": 3, "txt_attn.qkv": 3, "img_mod.lin": 6, "txt_mod.lin": 6, "img_attn.proj": 1, "txt_attn.proj": 1}
    rows |= {"img_mlp.0": 4, "img_mlp.2": 1, "txt_mlp.0": 4, "txt_mlp.2": 1}
    sizes = {f"double_blocks.0.{name}": many for name, many in rows.items()}
    sizes |= {f"single_blocks.0.{name}": many for name, many in {"linear1": 7, "linear2": 1, "modulation.lin": 3}.items()}
    for name in ("time_in", "vector_in", "guidance_in"):
        sizes |= {f"{name}.in_layer": 1, f"{name}.out_layer": 1}
    sizes |= {"txt_in": 1, "img_in": 1, "final_layer.linear": 1, "final_layer.adaLN_modulation.1": 2}
    weights = {f"{name}.weight": torch.randn(many * width, side) for name, many in sizes.items()}
    weights |= {f"{name}.bias": torch.randn(many * width) for name, many in sizes.items()}
    scales = ["double_blocks.0.img_attn.norm", "double_blocks.0.txt_attn.norm", "single_blocks.0.norm"]
    weights |= {f"{scale}.{which}_norm.scale": torch.randn(4) for scale in scales for which in ("query", "key")}
    wanted, found = convert_flux_transformer_checkpoint_to_diffusers(dict(weights)), flux_weights(weights)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
