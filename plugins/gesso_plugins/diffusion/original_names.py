"""Names of weights in the original layouts of Stable Diffusion (one file, as its authors trained it) and in diffusers. It reads no file.

A `Names` maps prefixes: the longest that a key starts with, at a dot, is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_CODEC_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_OPEN_CLIP = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}


@dataclass(frozen=True)
class Shape:
    """Which blocks a UNet has: per level from the outside in, how many resnets and how deep each one's transformer is (0: none)."""

    layers: int
    depths: tuple[int, ...]


class Names(dict[str, str]):
    """Original prefix -> prefix in diffusers."""

    def renamed(self, key: str) -> str | None:
        """The key in diffusers, or None for one that is not part of the network."""
        head, tail = key, ""
        while head:
            if head in self:
                return self[head] + tail
            head, dot, last = head.rpartition(".")
            tail = f"{dot}{last}{tail}" if dot else f"{last}{tail}"
        return None

    def turned(self) -> Names:
        """From diffusers to the original."""
        return Names({new: old for old, new in self.items()})


def unet_names(shape: Shape) -> Names:
    """Of the UNet, without the prefix ``model.diffusion_model.``."""
    names = Names(
        {
            "time_embed.0": "time_embedding.linear_1",
            "time_embed.2": "time_embedding.linear_2",
            "label_emb.0.0": "add_embedding.linear_1",
            "label_emb.0.2": "add_embedding.linear_2",
            "input_blocks.0.0": "conv_in",
            "out.0": "conv_norm_out",
            "out.2": "conv_out",
            "middle_block.1": "mid_block.attentions.0",
        }
    )
    names.update(_resnet("middle_block.0", "mid_block.resnets.0"))
    names.update(_resnet("middle_block.2", "mid_block.resnets.1"))
    for old, new in (*_down(shape), *_up(shape)):
        names.update(_resnet(old, new) if ".resnets." in new else {old: new})
    return names


def _resnet(old: str, new: str) -> dict[str, str]:
    return {f"{old}.{part}": f"{new}.{name}" for part, name in _RESNET.items()}


def _down(shape: Shape) -> Iterator[tuple[str, str]]:
    number = 1
    for level, depth in enumerate(shape.depths):
        for layer in range(shape.layers):
            yield f"input_blocks.{number}.0", f"down_blocks.{level}.resnets.{layer}"
            if depth:
                yield f"input_blocks.{number}.1", f"down_blocks.{level}.attentions.{layer}"
            number += 1
        if level < len(shape.depths) - 1:
            yield f"input_blocks.{number}.0.op", f"down_blocks.{level}.downsamplers.0.conv"
            number += 1


def _up(shape: Shape) -> Iterator[tuple[str, str]]:
    number = 0
    for level, depth in enumerate(reversed(shape.depths)):
        for layer in range(shape.layers + 1):
            yield f"output_blocks.{number}.0", f"up_blocks.{level}.resnets.{layer}"
            if depth:
                yield f"output_blocks.{number}.1", f"up_blocks.{level}.attentions.{layer}"
            if layer == shape.layers and level < len(shape.depths) - 1:
                yield f"output_blocks.{number}.{2 if depth else 1}.conv", f"up_blocks.{level}.upsamplers.0.conv"
            number += 1


def codec_names(levels: int, layers: int) -> Names:
    """Of the autoencoder, without the prefix ``first_stage_model.``."""
    names = Names({"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"})
    for half in ("encoder", "decoder"):
        for old, new in {"conv_in": "conv_in", "conv_out": "conv_out", "norm_out": "conv_norm_out"}.items():
            names[f"{half}.{old}"] = f"{half}.{new}"
        names.update({f"{half}.mid.attn_1.{old}": f"{half}.mid_block.attentions.0.{new}" for old, new in _CODEC_ATTENTION.items()})
        for number in (1, 2):
            names.update(_codec_resnet(f"{half}.mid.block_{number}", f"{half}.mid_block.resnets.{number - 1}"))
    for level in range(levels):
        for layer in range(layers):
            names.update(_codec_resnet(f"encoder.down.{level}.block.{layer}", f"encoder.down_blocks.{level}.resnets.{layer}"))
        for layer in range(layers + 1):
            names.update(_codec_resnet(f"decoder.up.{levels - 1 - level}.block.{layer}", f"decoder.up_blocks.{level}.resnets.{layer}"))
        names[f"encoder.down.{level}.downsample.conv"] = f"encoder.down_blocks.{level}.downsamplers.0.conv"
        names[f"decoder.up.{levels - 1 - level}.upsample.conv"] = f"decoder.up_blocks.{level}.upsamplers.0.conv"
    return names


def _codec_resnet(old: str, new: str) -> dict[str, str]:
    return {old: new, f"{old}.nin_shortcut": f"{new}.conv_shortcut"}


def open_clip_names(layers: int) -> Names:
    """Of an OpenCLIP text encoder; its fused ``attn.in_proj`` is cut into three by the reader."""
    names = Names(
        {
            "positional_embedding": "text_model.embeddings.position_embedding.weight",
            "token_embedding": "text_model.embeddings.token_embedding",
            "ln_final": "text_model.final_layer_norm",
        }
    )
    for layer in range(layers):
        for old, new in _OPEN_CLIP.items():
            names[f"transformer.resblocks.{layer}.{old}"] = f"text_model.encoder.layers.{layer}.{new}"
    return names


def of_unet_settings(settings: Mapping[str, object]) -> Shape:
    """The blocks of a UNet from its settings in diffusers."""
    kinds = settings["down_block_types"]
    depths, layers = settings.get("transformer_layers_per_block", 1), settings.get("layers_per_block", 2)
    assert isinstance(kinds, Sequence)
    each = [depths] * len(kinds) if isinstance(depths, int) else list(depths) if isinstance(depths, Sequence) else []
    return Shape(
        layers if isinstance(layers, int) else 2,
        tuple(int(depth) if "CrossAttn" in str(kind) else 0 for kind, depth in zip(kinds, each, strict=True)),
    )
