"""LoRAs on transformers: every layout gives what adding them to the weights gives, and taking them off leaves equal bits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import ours
from tests.plugins.diffusion.oracles import apart

from gesso.errors import InvalidRequest
from gesso.manifest import ModelEntry

pytestmark = pytest.mark.families
Weights = dict[str, torch.Tensor]
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
SIGMAS = [1.0, 0.6, 0.0]
MAKERS: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "flux": (tiny.flux, ("transformer_blocks.0.attn.to_q", "single_transformer_blocks.0.proj_mlp")),
    "stable-diffusion-3": (tiny.sd3, ("transformer_blocks.1.attn.to_k", "transformer_blocks.0.attn.to_out.0")),
    "z-image": (tiny.z_image, ("layers.0.attention.to_v", "layers.1.feed_forward.w1")),
    "qwen-image": (tiny.qwen_image, ("transformer_blocks.0.attn.to_q", "transformer_blocks.1.img_mlp.net.2")),
}


def add(studio: Any, tensors: Weights, path: Path) -> None:
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    studio.registry.models = (*studio.registry.models, ModelEntry("made", "lora", "Made", path, ("lora",), kind="lora"))


def factors(folder: Path, names: tuple[str, ...], rank: int = 3) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(5)
    shapes = {name: load_file(folder / WEIGHTS)[f"{name}.weight"].shape for name in names}
    return {name: (torch.randn(rank, shape[1]) * 0.3, torch.randn(shape[0], rank) * 0.3) for name, shape in shapes.items()}


def merged(folder: Path, made: dict[str, tuple[torch.Tensor, torch.Tensor]], weight: float, into: Path) -> Path:
    """A copy of the directory with the LoRA in its weights."""
    shutil.copytree(folder, into)
    weights = load_file(into / WEIGHTS)
    for name, (down, up) in made.items():
        weights[f"{name}.weight"] = weights[f"{name}.weight"] + weight * (up @ down)
    save_file(weights, into / WEIGHTS)
    return into


@pytest.mark.parametrize("family", MAKERS)
def test_a_lora_of_diffusers(studio: Any, tmp_path: Path, family: str) -> None:
    maker, names = MAKERS[family]
    folder = maker(tmp_path)
    made = factors(folder, names)
    lora = {f"transformer.{name}.lora_{which}.weight": made[name][i] for name in names for i, which in enumerate("AB")}
    add(studio, lora, tmp_path / "lora.safetensors")
    plain = ours(studio, folder, family, SIGMAS)
    found = ours(studio, folder, family, SIGMAS, lora={"made": 0.5})
    assert torch.equal(ours(studio, folder, family, SIGMAS), plain)
    studio.add("whole", merged(folder, made, 0.5, tmp_path / "whole"), family)
    assert apart(found, ours(studio, folder, family, SIGMAS, model="whole")) < 1e-4
    assert apart(found, plain) > 1e-3


def test_a_lora_of_kohya_changes_fused_layers(studio: Any, tmp_path: Path) -> None:
    folder = tiny.flux(tmp_path)
    double = tuple(f"transformer_blocks.0.attn.to_{part}" for part in "qkv")
    single = (*(f"single_transformer_blocks.0.attn.to_{part}" for part in "qkv"), "single_transformer_blocks.0.proj_mlp")
    plain = ("transformer_blocks.0.ff.net.2",)
    spelled = {double: "double_blocks_0_img_attn_qkv", single: "single_blocks_0_linear1", plain: "double_blocks_0_img_mlp_2"}
    tensors: Weights = {}
    made = {}
    for names, original in spelled.items():
        found = factors(folder, names)
        down = found[names[0]][0]
        made.update({name: (down, found[name][1]) for name in names})
        tensors[f"lora_unet_{original}.lora_down.weight"] = down
        tensors[f"lora_unet_{original}.lora_up.weight"] = torch.cat([found[name][1] for name in names])
        tensors[f"lora_unet_{original}.alpha"] = torch.tensor(6.0)  # twice the rank
    add(studio, tensors, tmp_path / "lora.safetensors")
    assert studio.context().model("made").base == "flux1"
    result = ours(studio, folder, "flux", SIGMAS, lora={"made": 0.25})
    studio.add("whole", merged(folder, made, 0.5, tmp_path / "whole"), "flux")
    assert apart(result, ours(studio, folder, "flux", SIGMAS, model="whole")) < 1e-4
    cut = {key: value[:-1] if key.endswith("qkv.lora_up.weight") else value for key, value in tensors.items()}
    save_file(cut, tmp_path / "lora.safetensors")
    with pytest.raises(InvalidRequest, match="another size"):
        ours(studio, folder, "flux", SIGMAS, lora={"made": 0.25})
