"""Writes a diffusers directory as one file of the original layout, the way back from what `gesso_plugins.diffusion.single_file` reads."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from gesso_plugins.diffusion.original_names import Names, codec_names, of_unet_settings, open_clip_names, unet_names
from gesso_plugins.diffusion.single_file import CODEC, UNET

Weights = dict[str, torch.Tensor]


def write_original(folder: Path, form: str, path: Path, dtype: torch.dtype = torch.float32) -> Path:
    """All networks of the directory in one file."""
    weights = unet_weights(folder) | codec_weights(folder)
    match form:
        case "sd1":
            weights |= hf_text(folder / "text_encoder", "cond_stage_model.transformer.")
        case "sd2":
            weights |= open_clip(folder / "text_encoder", "cond_stage_model.model.", spare=True)
        case "sdxl":
            weights |= hf_text(folder / "text_encoder", "conditioner.embedders.0.transformer.")
            weights |= open_clip(folder / "text_encoder_2", "conditioner.embedders.1.model.")
        case "sdxl-refiner":
            weights |= open_clip(folder / "text_encoder_2", "conditioner.embedders.0.model.")
    weights["model_ema.decay"] = torch.ones(1)  # what training leaves in such files
    save_file({key: value.to(dtype).contiguous() for key, value in weights.items()}, path)
    return path


def turned(weights: Weights, names: Names, prefix: str) -> Weights:
    back = names.turned()
    found = {prefix + str(back.renamed(key)): value for key, value in weights.items()}
    assert not any(key.endswith("None") for key in found)
    return found


def settings(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "config.json").read_text())
    return found


def unet_weights(folder: Path) -> Weights:
    names = unet_names(of_unet_settings(settings(folder / "unet")))
    return turned(load_file(folder / "unet/diffusion_pytorch_model.safetensors"), names, UNET)


def codec_weights(folder: Path) -> Weights:
    config = settings(folder / "vae")
    levels = config["block_out_channels"]
    assert isinstance(levels, list)
    names = codec_names(len(levels), int(str(config["layers_per_block"])))
    found = turned(load_file(folder / "vae/diffusion_pytorch_model.safetensors"), names, CODEC)
    attention = (".q.weight", ".k.weight", ".v.weight", ".proj_out.weight")
    return {key: value[..., None, None] if ".attn_1." in key and key.endswith(attention) else value for key, value in found.items()}


def hf_text(folder: Path, prefix: str) -> Weights:
    return {
        f"{prefix}text_model.{key.removeprefix('text_model.')}": value for key, value in load_file(folder / "model.safetensors").items()
    }


def open_clip(folder: Path, prefix: str, *, spare: bool = False) -> Weights:
    """``spare``: SD 2.x keeps one layer more than it uses."""
    read = load_file(folder / "model.safetensors")
    weights = {key if key.startswith("text_projection") else f"text_model.{key.removeprefix('text_model.')}": v for key, v in read.items()}
    layers = int(str(settings(folder)["num_hidden_layers"]))
    found: Weights = {}
    for layer in range(layers):
        for leaf in ("weight", "bias"):
            parts = [weights.pop(f"text_model.encoder.layers.{layer}.self_attn.{name}_proj.{leaf}") for name in "qkv"]
            found[f"{prefix}transformer.resblocks.{layer}.attn.in_proj_{leaf}"] = torch.cat(parts)
    projection = weights.pop("text_projection.weight", None)
    if projection is not None:
        found[f"{prefix}text_projection"] = projection.T
    weights.pop("text_model.embeddings.position_ids", None)
    found |= turned(weights, open_clip_names(layers), prefix)
    if spare:
        last = {key: value for key, value in found.items() if f".resblocks.{layers - 1}." in key}
        found |= {key.replace(f".resblocks.{layers - 1}.", f".resblocks.{layers}."): value + 1 for key, value in last.items()}
    found[f"{prefix}logit_scale"] = torch.zeros(1)
    return found
