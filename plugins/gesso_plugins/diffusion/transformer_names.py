"""The transformers of SD 3 and Flux.1 in their authors' files: settings read off shapes, and weights under diffusers' names. It reads no
file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gesso_plugins.diffusion.original_settings import Shapes, count, shape_of

_FLUX_ENDS = {
    "time_in": "time_text_embed.timestep_embedder",
    "vector_in": "time_text_embed.text_embedder",
    "guidance_in": "time_text_embed.guidance_embedder",
    "in_layer": "linear_1",
    "out_layer": "linear_2",
    "txt_in": "context_embedder",
    "img_in": "x_embedder",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
}
_FLUX_DOUBLE = {
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
    "img_attn.norm.query_norm.scale": "attn.norm_q.weight",
    "img_attn.norm.key_norm.scale": "attn.norm_k.weight",
    "txt_attn.norm.query_norm.scale": "attn.norm_added_q.weight",
    "txt_attn.norm.key_norm.scale": "attn.norm_added_k.weight",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
}
_FLUX_SINGLE = {
    "modulation.lin": "norm.linear",
    "norm.query_norm.scale": "attn.norm_q.weight",
    "norm.key_norm.scale": "attn.norm_k.weight",
    "linear2": "proj_out",
}
_FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
}
_BLOCK = re.compile(r"(double|single)_blocks\.(\d+)\.(.+)")


def flux_settings(shapes: Shapes) -> dict[str, Any]:
    """Of a `FluxTransformer2DModel`."""
    width, channels = shape_of(shapes, "img_in.weight")
    head = shape_of(shapes, "double_blocks.0.img_attn.norm.query_norm.scale")[0]
    return {
        "patch_size": 1,
        "in_channels": channels,
        "out_channels": shape_of(shapes, "final_layer.linear.weight")[0],
        "num_layers": count(shapes, "double_blocks."),
        "num_single_layers": count(shapes, "single_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shape_of(shapes, "txt_in.weight")[1],
        "pooled_projection_dim": shape_of(shapes, "vector_in.in_layer.weight")[1],
        "guidance_embeds": "guidance_in.in_layer.weight" in shapes,
        "axes_dims_rope": [head // 8, head * 7 // 16, head * 7 // 16],
    }


def flux_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fused projections are cut into their parts; shift and scale at the end change places."""
    found: dict[str, Tensor] = {}
    width = weights["img_in.bias"].shape[0]
    for key, value in weights.items():
        match = _BLOCK.fullmatch(key)
        if match is None:
            found[_replaced(key, _FLUX_ENDS)] = _swapped(value) if key.startswith("final_layer.adaLN") else value
            continue
        kind, number, rest = match.groups()
        block = f"{'transformer_blocks' if kind == 'double' else 'single_transformer_blocks'}.{number}"
        stem, _, leaf = rest.rpartition(".")
        if stem in _FUSED:
            found.update({f"{block}.{name}.{leaf}": part for name, part in _cut(value, stem, width)})
        else:
            found[f"{block}.{_replaced(rest, _FLUX_DOUBLE if kind == 'double' else _FLUX_SINGLE)}"] = value
    return found


def flux_aliases(doubles: int, singles: int) -> dict[str, tuple[str, ...]]:
    """Layers by their flat names in the original layout -> in diffusers; a fused projection is several layers there."""
    kinds = (
        ("double_blocks", "transformer_blocks", doubles, _FLUX_DOUBLE),
        ("single_blocks", "single_transformer_blocks", singles, _FLUX_SINGLE),
    )
    found: dict[str, tuple[str, ...]] = {}
    for old, new, many, names in kinds:
        each = {**{part: (name,) for part, name in names.items()}, **_FUSED}
        for i in range(many):
            found.update({_flat(f"{old}.{i}.{part}"): tuple(_flat(f"{new}.{i}.{name}") for name in to) for part, to in each.items()})
    return found


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _cut(value: Tensor, stem: str, width: int) -> list[tuple[str, Tensor]]:
    names = _FUSED[stem]
    sizes = [width, width, width, value.shape[0] - 3 * width][: len(names)]
    return list(zip(names, torch.split(value, sizes), strict=True))


def _replaced(key: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        if key == old or key.startswith(f"{old}.") or key.endswith((f".{old}.weight", f".{old}.bias")):
            key = key.replace(old, new, 1)
    return key


def _swapped(value: Tensor) -> Tensor:
    shift, scale = value.chunk(2, dim=0)
    return torch.cat([scale, shift])


def sd3_settings(shapes: Shapes) -> dict[str, Any]:
    """Of an `SD3Transformer2DModel`; its heads have 64 channels."""
    width, channels, patch, _ = shape_of(shapes, "x_embedder.proj.weight")
    layers = count(shapes, "joint_blocks.")
    return {
        "sample_size": 128,
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": shape_of(shapes, "final_layer.linear.weight")[0] // patch**2,
        "num_layers": layers,
        "attention_head_dim": 64,
        "num_attention_heads": width // 64,
        "joint_attention_dim": shape_of(shapes, "context_embedder.weight")[1],
        "caption_projection_dim": width,
        "pooled_projection_dim": shape_of(shapes, "y_embedder.mlp.0.weight")[1],
        "pos_embed_max_size": round(shape_of(shapes, "pos_embed")[1] ** 0.5),
        "dual_attention_layers": [i for i in range(layers) if f"joint_blocks.{i}.x_block.attn2.qkv.weight" in shapes],
        "qk_norm": "rms_norm" if "joint_blocks.0.x_block.attn.ln_q.weight" in shapes else None,
    }


def sd3_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By diffusers' own function, which takes a dictionary and reads nothing else."""
    from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers

    found: dict[str, Tensor] = convert_sd3_transformer_checkpoint_to_diffusers(dict(weights))
    return found


def t5_settings(shapes: Shapes) -> dict[str, Any]:
    """Of T5's encoder, version 1.1; its heads have 64 channels."""
    block = "encoder.block.0.layer"
    tokens, width = shapes.get("shared.weight") or shape_of(shapes, "encoder.embed_tokens.weight")
    inner = shape_of(shapes, f"{block}.0.SelfAttention.q.weight")[0]
    return {
        "vocab_size": tokens,
        "d_model": width,
        "d_kv": min(64, inner),
        "num_heads": max(inner // 64, 1),
        "d_ff": shape_of(shapes, f"{block}.1.DenseReluDense.wi_0.weight")[0],
        "num_layers": count(shapes, "encoder.block."),
        "relative_attention_num_buckets": shape_of(shapes, f"{block}.0.SelfAttention.relative_attention_bias.weight")[0],
        "feed_forward_proj": "gated-gelu",
    }
