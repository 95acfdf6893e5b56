"""Files and directories are known by their keys, shapes and classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.library.conftest import LORA, SD1, write

from gesso.errors import ModelError, PluginError
from gesso.library import Layouts, examine, recognition
from gesso.manifest import parse

Tensors = Mapping[str, tuple[str, tuple[int, ...]]]
XL = {
    "conditioner.embedders.0.transformer.text_model.x": ("F16", (4,)),
    "conditioner.embedders.1.model.ln_final.weight": ("F16", (4,)),
    "model.diffusion_model.input_blocks.0.0.weight": ("F16", (320, 4, 3, 3)),
}
CASES: dict[str, tuple[Tensors, str, str]] = {
    "sd1": (SD1, "checkpoint", "epsilon"),
    "sd1-inpaint": ({**SD1, "model.diffusion_model.input_blocks.0.0.weight": ("F16", (32, 9, 3, 3))}, "checkpoint", "epsilon"),
    "sdxl": (XL, "checkpoint", "epsilon"),
    "lora-sd1": (LORA, "lora", ""),
    "lora-sdxl": ({"lora_unet_x_attn2_to_k.lora_down.weight": ("F16", (8, 2048))}, "lora", ""),
    "lora-flux1": ({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": ("F16", (8, 64))}, "lora", ""),
    "lycoris-loha": ({"lora_unet_a.hada_w1_a": ("F16", (2, 2)), "lora_unet_a.hada_w2_a": ("F16", (2, 2))}, "lora", ""),
    "controlnet-diffusers": ({"controlnet_cond_embedding.conv_in.weight": ("F16", (16, 3, 3, 3))}, "controlnet", ""),
    "vae-sd": ({"encoder.conv_in.weight": ("F32", (8, 3, 3, 3)), "decoder.conv_in.weight": ("F32", (8, 4, 3, 3))}, "vae", ""),
    "vae-16": ({"encoder.conv_in.weight": ("F32", (8, 3, 3, 3)), "decoder.conv_in.weight": ("F32", (8, 16, 3, 3))}, "vae", ""),
    "embedding-sd1": ({"emb_params": ("F32", (2, 768))}, "embedding", ""),
    "embedding-sdxl": ({"clip_l": ("F32", (2, 768)), "clip_g": ("F32", (2, 1280))}, "embedding", ""),
    "ip-adapter": ({"image_proj.proj.weight": ("F16", (8, 8)), "ip_adapter.1.to_k_ip.weight": ("F16", (8, 8))}, "ip_adapter", ""),
    "esrgan": ({"conv_first.weight": ("F32", (8, 3, 3, 3)), "body.0.rdb1.conv1.weight": ("F32", (8, 8, 3, 3))}, "upscaler", ""),
    "t5": ({"encoder.block.0.layer.0.SelfAttention.q.weight": ("F16", (8, 8))}, "text_encoder", ""),
}


@pytest.mark.parametrize("name", CASES)
def test_a_single_file_is_known_by_its_tensors(tmp_path: Path, layouts: Layouts, name: str) -> None:
    tensors, kind, prediction = CASES[name]
    found = examine(write(tmp_path / "a.safetensors", tensors), layouts)
    assert found.layout is not None
    assert (found.layout.name, found.kind, found.prediction) == (name, kind, prediction)


def test_what_a_file_predicts_is_told_by_a_key_or_by_its_metadata(tmp_path: Path, layouts: Layouts) -> None:
    keyed = write(tmp_path / "a.safetensors", {**XL, "v_pred": ("F16", (1,))})
    told = write(tmp_path / "b.safetensors", XL, {"modelspec.prediction_type": "v", "modelspec.license": "CreativeML"})
    assert examine(keyed, layouts).prediction == "v_prediction"
    found = examine(told, layouts)
    assert (found.prediction, found.licence) == ("v_prediction", "CreativeML")
    assert (found.dtype, found.parameters) == ("F16", 320 * 36 + 8)


def test_a_file_that_no_table_fits_is_still_described(tmp_path: Path, layouts: Layouts) -> None:
    found = examine(write(tmp_path / "a.safetensors", {"x": ("F32", (3,))}), layouts)
    assert (found.layout, found.kind, found.nbytes) == (None, "", 12)


def pipeline(root: Path, kind: str = "StableDiffusionPipeline", **index: object) -> Path:
    """A directory in the way of diffusers with a network and its index."""
    write(root / "unet/diffusion_pytorch_model.safetensors", {"conv_in.weight": ("F32", (4, 4))})
    (root / "unet/config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    (root / "scheduler").mkdir(exist_ok=True)
    (root / "scheduler/scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    content = {"_class_name": kind, "unet": ["diffusers", "UNet2DConditionModel"], "scheduler": ["diffusers", "DDIMScheduler"], **index}
    (root / "model_index.json").write_text(json.dumps(content))
    return root


def test_a_directory_is_known_by_its_class(tmp_path: Path, layouts: Layouts) -> None:
    found = examine(pipeline(tmp_path / "a", safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"]), layouts)
    assert (found.family, found.prediction, found.nbytes) == ("stable-diffusion", "v_prediction", 64)
    other = examine(pipeline(tmp_path / "b", "WuerstchenDecoderPipeline"), layouts)
    assert other.layout is not None
    assert other.layout.name == "diffusers"


def test_a_missing_text_encoder_is_said(tmp_path: Path, layouts: Layouts) -> None:
    with pytest.raises(ModelError, match=r"lacks its text encoder \(the folder text_encoder\)"):
        examine(pipeline(tmp_path / "a", text_encoder=["transformers", "CLIPTextModel"]), layouts)


@pytest.mark.parametrize(
    "table", ["[[layout]]\nname='x'\ntitle='X'", "[[layout]]\nname='x'\ntitle='X'\nkind='cat'\nkeys=['a']", "[[", "x=1"]
)
def test_a_broken_table_is_named(tmp_path: Path, table: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(table)
    with pytest.raises(PluginError, match=r"odd\.toml"):
        recognition._read(path)


def test_every_family_that_a_table_names_exists(layouts: Layouts) -> None:
    from gesso.manifest import first_party

    known = {name for plugin in first_party().plugins for name in plugin.provides.get("families", ())}
    assert {layout.family for layout in layouts.all} - {""} <= known
    assert len({layout.name for layout in layouts.all}) == len(layouts.all)
    assert parse('schema = 1\n[[plugin]]\nname="a"\nmodule="a"\ntitle="A"\nsummary="a"\nlicence="MIT"', "x").plugins[0].recognises == ""
