"""Checkpoints in one file of the original layout give the same latents as the directory that they were written from."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.plugins.diffusion.oracles import apart, ours, picture, pipeline_of
from tests.plugins.diffusion.originals import write_original
from tests.plugins.diffusion.unets import build_real

from gesso.errors import ModelError
from gesso.manifest import ModelEntry
from gesso_plugins.diffusion.single_file import CODEC, UNET, SingleFile
from gesso_plugins.diffusion.source import Directory
from gesso_plugins.diffusion.stable_diffusion import StableDiffusionFamily
from gesso_plugins.diffusion.stable_diffusion_xl import StableDiffusionXLFamily

pytestmark = pytest.mark.families
FORMS = ("sd1", "sd2", "sdxl", "sdxl-refiner")
SIGMAS = [14.6, 3.0, 0.8, 0.0]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Directory and file by form, each made once."""
    held: dict[str, tuple[Path, Path]] = {}

    def get(form: str) -> tuple[Path, Path]:
        if form not in held:
            root = tmp_path_factory.mktemp(form)
            folder = build_real(root, form)
            held[form] = folder, write_original(folder, form, root / "model.safetensors")
        return held[form]

    return get


def family_of(form: str) -> str:
    return "stable-diffusion-xl" if form.startswith("sdxl") else "stable-diffusion"


Made = Callable[[str], tuple[Path, Path]]


@pytest.mark.parametrize("form", FORMS)
def test_the_file_gives_the_latents_of_the_directory(studio: Any, made: Made, form: str) -> None:
    folder, path = made(form)
    studio.add("file", path, family_of(form))
    name, data = picture()
    more = {"blobs": {name: data}, "image": {"sha256": name}, "strength": 1.0} if form == "sdxl-refiner" else {}
    wanted = ours(studio, folder, SIGMAS, family=family_of(form), **more)
    found = ours(studio, folder, SIGMAS, model="file", **more)
    assert torch.equal(found, wanted)
    card, other = studio.catalogue.card("file"), studio.catalogue.card("tiny")
    assert (card.parametrisation, card.latent, card.base) == (other.parametrisation, other.latent, other.base)


@pytest.mark.parametrize("form", FORMS)
def test_diffusers_reads_the_same_from_the_file(made: Made, form: str) -> None:
    """diffusers' own converters are the judge of the names, so that ours and their inverse cannot be wrong together."""
    from diffusers.loaders import single_file_utils as theirs

    folder, path = made(form)
    weights = load_file(path)
    config = {**Directory(folder).settings("unet"), "class_embed_type": None}
    unet = theirs.convert_ldm_unet_checkpoint(dict(weights), config)
    codec = theirs.convert_ldm_vae_checkpoint(dict(weights), Directory(folder).settings("vae"))
    source = SingleFile(path)
    same(source.tensors("unet", CPU), unet)
    same(source.tensors("vae", CPU), {key: v.flatten(1) if ".attentions." in key and v.dim() == 4 else v for key, v in codec.items()})


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in found)


@pytest.mark.parametrize("form", ["sd1", "sdxl"])
def test_the_settings_are_those_of_the_directory(made: Made, form: str) -> None:
    folder, path = made(form)
    source, directory = SingleFile(path), Directory(folder)
    for component in ("unet", "vae", "text_encoder"):
        found, wanted = source.settings(component), directory.settings(component)
        for key in found.keys() & wanted.keys() - {"sample_size", "transformer_layers_per_block", "pad_token_id", "use_quant_conv"}:
            assert found[key] == wanted[key], (component, key)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read(studio: Any, made: Made, tmp_path: Path, dtype: torch.dtype) -> None:
    folder, _ = made("sd1")
    half = write_original(folder, "sd1", tmp_path / "half.safetensors", dtype)
    studio.add("half", half)
    wanted = ours(studio, folder, SIGMAS)
    assert 0 < apart(ours(studio, folder, SIGMAS, model="half"), wanted) < 0.2


def test_v_is_told_by_a_mark_or_by_a_bias(made: Made, tmp_path: Path) -> None:
    marked = tmp_path / "marked.safetensors"
    save_file({**load_file(made("sdxl")[1]), "v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}, marked)
    card = StableDiffusionXLFamily().inspect(ModelEntry("a", "x", "A", marked, ()))
    assert card.parametrisation is not None
    assert (card.parametrisation.prediction, card.parametrisation.sigma_max) == ("v_prediction", pytest.approx(4096, rel=1e-3))
    wide = tmp_path / "wide.safetensors"
    bias = UNET + "output_blocks.11.1.transformer_blocks.0.norm1.bias"
    save_file({**load_file(made("sd2")[1]), bias: torch.linspace(-1, 1, 64)}, wide)
    assert SingleFile(wide).settings("scheduler")["prediction_type"] == "v_prediction"
    assert SingleFile(made("sd2")[1]).settings("scheduler")["prediction_type"] == "epsilon"


@pytest.mark.parametrize(
    ("dropped", "said"),
    [("cond_stage_model.", "lacks the text encoder"), (CODEC, "lacks the autoencoder"), (UNET, "is no checkpoint of Stable Diffusion")],
)
def test_a_file_without_a_part_is_refused_in_one_sentence(made: Made, tmp_path: Path, dropped: str, said: str) -> None:
    path = tmp_path / "part.safetensors"
    save_file({key: value for key, value in load_file(made("sd1")[1]).items() if not key.startswith(dropped)}, path)
    with pytest.raises(ModelError, match=said) as caught:
        StableDiffusionFamily().inspect(ModelEntry("a", "x", "A", path, ()))
    assert caught.value.hint


def test_another_family_is_refused(made: Made) -> None:
    with pytest.raises(ModelError, match="is a checkpoint of the family 'stable-diffusion-xl', not of 'stable-diffusion'"):
        StableDiffusionFamily().inspect(ModelEntry("a", "x", "A", made("sdxl")[1], ()))


def test_the_vocabulary_is_clips() -> None:
    from transformers import CLIPTokenizer

    from gesso_plugins.diffusion.single_file import VOCABULARY

    ids = CLIPTokenizer.from_pretrained(VOCABULARY, local_files_only=True)("a photo of an astronaut riding a horse").input_ids
    assert ids == [49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 49407]
    assert "MIT License" in (VOCABULARY / "LICENSE.txt").read_text()


def test_diffusers_makes_the_same_latents_of_the_directory(studio: Any, made: Made, tmp_path: Path) -> None:
    """The other two sides of the triangle: file = directory was shown above, directory = diffusers here, with CLIP's own vocabulary."""
    from tests.plugins.diffusion.oracles import theirs

    folder, path = made("sdxl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline, sigmas = pipeline_of("StableDiffusionXLPipeline", Path(shutil.copytree(folder, tmp_path / "copy")))
    assert apart(ours(studio, path, sigmas, family="stable-diffusion-xl"), theirs(pipeline, sigmas)) < 1e-4
