"""The settings that single files do not carry, read off the shapes of their tensors: what diffusers and transformers need to build the
networks. Numbers that no shape tells (heads, scales, activations) are those that the authors of each family trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesso.errors import ModelError
from gesso_plugins.diffusion.original_names import Shape

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes by key, without the prefix of the network."""


def unet_settings(shapes: Shapes, sample_size: int) -> dict[str, Any]:
    """Of a `UNet2DConditionModel`. Heads: 8 where the projections are convolutions (SD 1.x), else 64 channels each."""
    widths, depths, layers = _unet_levels(shapes)
    linear = len(shape_of(shapes, "middle_block.1.proj_in.weight")) == 2
    middle = count(shapes, "middle_block.1.transformer_blocks.")
    settings: dict[str, Any] = {
        "sample_size": sample_size,
        "in_channels": shape_of(shapes, "input_blocks.0.0.weight")[1],
        "out_channels": shape_of(shapes, "out.2.weight")[0],
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)],
        "transformer_layers_per_block": [depth or middle for depth in depths],
        "cross_attention_dim": shape_of(shapes, "middle_block.1.transformer_blocks.0.attn2.to_k.weight")[1],
        "attention_head_dim": [max(width // 64, 1) for width in widths] if linear else 8,
        "use_linear_projection": linear,
    }
    if "label_emb.0.0.weight" in shapes:
        width = shapes["label_emb.0.0.weight"][1]
        settings |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": width}
    return settings


def unet_shape(shapes: Shapes) -> Shape:
    """Which blocks there are."""
    _, depths, layers = _unet_levels(shapes)
    return Shape(layers, tuple(depths))


def _unet_levels(shapes: Shapes) -> tuple[list[int], list[int], int]:
    """Widths and transformer depths per level, and resnets per level."""
    widths, depths, layers, number = [0], [0], [0], 1
    while True:
        block = f"input_blocks.{number}"
        if f"{block}.0.op.weight" in shapes:
            widths, depths, layers = [*widths, 0], [*depths, 0], [*layers, 0]
        elif f"{block}.0.out_layers.3.weight" in shapes:
            widths[-1] = shapes[f"{block}.0.out_layers.3.weight"][0]
            depths[-1] = count(shapes, f"{block}.1.transformer_blocks.")
            layers[-1] += 1
        else:
            break
        number += 1
    if len(set(layers)) != 1 or 0 in layers:
        raise ModelError("The file holds no UNet of Stable Diffusion whose blocks are complete.")
    return widths, depths, layers[0]


def codec_settings(shapes: Shapes, scaling_factor: float) -> dict[str, Any]:
    """Of an `AutoencoderKL`."""
    levels, layers = codec_levels(shapes)
    return {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": shape_of(shapes, "decoder.conv_in.weight")[1],
        "block_out_channels": [shape_of(shapes, f"encoder.down.{i}.block.0.conv1.weight")[0] for i in range(levels)],
        "layers_per_block": layers,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "scaling_factor": scaling_factor,
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
    }


def codec_levels(shapes: Shapes) -> tuple[int, int]:
    """How many levels the autoencoder has, and how many resnets each."""
    return count(shapes, "encoder.down."), count(shapes, "encoder.down.0.block.")


def clip_settings(shapes: Shapes) -> dict[str, Any]:
    """Of CLIP's text encoder under its names in transformers."""
    tokens, width = shape_of(shapes, "embeddings.token_embedding.weight")
    return _text(
        tokens,
        width,
        shape_of(shapes, "embeddings.position_embedding.weight")[0],
        count(shapes, "encoder.layers."),
        shape_of(shapes, "encoder.layers.0.mlp.fc1.weight")[0],
    ) | {"hidden_act": "quick_gelu"}


def open_clip_settings(shapes: Shapes, layers: int) -> dict[str, Any]:
    """Of an OpenCLIP text encoder, as many of its layers as are used."""
    tokens, width = shape_of(shapes, "token_embedding.weight")
    return _text(
        tokens,
        width,
        shape_of(shapes, "positional_embedding")[0],
        layers,
        shape_of(shapes, "transformer.resblocks.0.mlp.c_fc.weight")[0],
    ) | {"hidden_act": "gelu", "projection_dim": shapes.get("text_projection", (width, width))[1]}


def open_clip_layers(shapes: Shapes) -> int:
    """How many layers there are."""
    return count(shapes, "transformer.resblocks.")


def _text(tokens: int, width: int, positions: int, layers: int, inner: int) -> dict[str, Any]:
    return {
        "vocab_size": tokens,
        "hidden_size": width,
        "intermediate_size": inner,
        "max_position_embeddings": positions,
        "num_hidden_layers": layers,
        "num_attention_heads": max(width // 64, 1),
        "bos_token_id": tokens - 2,
        "eos_token_id": tokens - 1,
        "pad_token_id": 1,
    }


def shape_of(shapes: Shapes, key: str) -> tuple[int, ...]:
    """The shape of a tensor that must be there."""
    if key not in shapes:
        raise ModelError(f"The file lacks the tensor {key}.", hint="Download the model again.")
    return shapes[key]


def count(shapes: Shapes, prefix: str) -> int:
    """How many numbers follow a prefix."""
    numbers = {key[len(prefix) :].split(".")[0] for key in shapes if key.startswith(prefix)}
    return len([number for number in numbers if number.isdecimal()])
