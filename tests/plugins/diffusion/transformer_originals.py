"""Writes a diffusers directory of SD 3 or Flux.1 as its authors lay such a model out: the way back from what Gesso reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from tests.plugins.diffusion.originals import codec_weights

Weights = dict[str, torch.Tensor]
FLUX = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "context_embedder": "txt_in",
    "x_embedder": "img_in",
    "proj_out": "final_layer.linear",
}
DOUBLE = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
}
SCALES = {"norm_q": "img_attn.norm.query_norm", "norm_k": "img_attn.norm.key_norm"}
ADDED = {"norm_added_q": "txt_attn.norm.query_norm", "norm_added_k": "txt_attn.norm.key_norm"}
SD3 = {
    "pos_embed.proj": "x_embedder.proj",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "context_embedder": "context_embedder",
    "proj_out": "final_layer.linear",
}
JOINT = {
    "attn.to_out.0": "x_block.attn.proj",
    "attn.to_add_out": "context_block.attn.proj",
    "attn2.to_out.0": "x_block.attn2.proj",
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
}


def _moved(old: Weights, new: Weights, names: Mapping[str, str], before: str = "", after: str = "") -> None:
    for theirs, original in names.items():
        for leaf in ("weight", "bias"):
            if f"{before}{theirs}.{leaf}" in old:
                new[f"{after}{original}.{leaf}"] = old[f"{before}{theirs}.{leaf}"]


def _fused(old: Weights, new: Weights, names: tuple[str, ...], before: str, after: str) -> None:
    for leaf in ("weight", "bias"):
        if f"{before}{names[0]}.{leaf}" in old:
            new[f"{after}.{leaf}"] = torch.cat([old[f"{before}{name}.{leaf}"] for name in names])


def _scales(old: Weights, new: Weights, names: Mapping[str, str], before: str, after: str, leaf: str = "scale") -> None:
    for theirs, original in names.items():
        if f"{before}.{theirs}.weight" in old:
            new[f"{after}.{original}.{leaf}"] = old[f"{before}.{theirs}.weight"]


def _swapped(old: Weights, new: Weights, theirs: str, original: str) -> None:
    for leaf in ("weight", "bias"):
        scale, shift = old[f"{theirs}.{leaf}"].chunk(2)
        new[f"{original}.{leaf}"] = torch.cat([shift, scale])


def _blocks(old: Weights, prefix: str) -> list[int]:
    return sorted({int(key.split(".")[1]) for key in old if key.startswith(prefix)})


def flux(folder: Path) -> Weights:
    """The transformer under its authors' names."""
    old, new = load_file(folder / "transformer/diffusion_pytorch_model.safetensors"), Weights()
    _moved(old, new, FLUX)
    _swapped(old, new, "norm_out.linear", "final_layer.adaLN_modulation.1")
    for i in _blocks(old, "transformer_blocks."):
        block, double = f"transformer_blocks.{i}.", f"double_blocks.{i}."
        _moved(old, new, DOUBLE, block, double)
        _fused(old, new, ("attn.to_q", "attn.to_k", "attn.to_v"), block, f"{double}img_attn.qkv")
        _fused(old, new, ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"), block, f"{double}txt_attn.qkv")
        _scales(old, new, {**SCALES, **ADDED}, f"{block}attn", double[:-1])
    for i in _blocks(old, "single_transformer_blocks."):
        block, single = f"single_transformer_blocks.{i}.", f"single_blocks.{i}."
        _moved(old, new, {"norm.linear": "modulation.lin", "proj_out": "linear2"}, block, single)
        _fused(old, new, ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"), block, f"{single}linear1")
        _scales(old, new, {"norm_q": "norm.query_norm", "norm_k": "norm.key_norm"}, f"{block}attn", single[:-1])
    return new


def sd3(folder: Path) -> Weights:
    """The transformer under its authors' names."""
    old, new = load_file(folder / "transformer/diffusion_pytorch_model.safetensors"), Weights()
    _moved(old, new, SD3)
    new["pos_embed"] = old["pos_embed.pos_embed"]
    _swapped(old, new, "norm_out.linear", "final_layer.adaLN_modulation.1")
    numbers = _blocks(old, "transformer_blocks.")
    for i in numbers:
        block, joint = f"transformer_blocks.{i}.", f"joint_blocks.{i}."
        _moved(old, new, JOINT, block, joint)
        _fused(old, new, ("attn.to_q", "attn.to_k", "attn.to_v"), block, f"{joint}x_block.attn.qkv")
        _fused(old, new, ("attn2.to_q", "attn2.to_k", "attn2.to_v"), block, f"{joint}x_block.attn2.qkv")
        _fused(old, new, ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"), block, f"{joint}context_block.attn.qkv")
        _scales(old, new, {"norm_q": "x_block.attn.ln_q", "norm_k": "x_block.attn.ln_k"}, f"{block}attn", joint[:-1], "weight")
        _scales(old, new, {"norm_q": "x_block.attn2.ln_q", "norm_k": "x_block.attn2.ln_k"}, f"{block}attn2", joint[:-1], "weight")
        added = {"norm_added_q": "context_block.attn.ln_q", "norm_added_k": "context_block.attn.ln_k"}
        _scales(old, new, added, f"{block}attn", joint[:-1], "weight")
    last = f"joint_blocks.{numbers[-1]}.context_block.adaLN_modulation.1"
    _swapped(old, new, f"transformer_blocks.{numbers[-1]}.norm1_context.linear", last)
    return new


def codec(folder: Path, prefix: str) -> Weights:
    """The autoencoder under its authors' names."""
    return {prefix + key.removeprefix("first_stage_model."): value for key, value in codec_weights(folder).items()}


def text(folder: Path, component: str, prefix: str) -> Weights:
    """A text encoder, named as in transformers, CLIP's with the prefix that files of its own have."""
    read = load_file(folder / component / "model.safetensors")
    inner = "" if any(key.startswith(("text_model.", "encoder.block.")) for key in read) else "text_model."
    return {prefix + ("" if key.startswith("text_projection") else inner) + key: value for key, value in read.items()}
