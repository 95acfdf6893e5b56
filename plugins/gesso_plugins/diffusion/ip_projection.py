"""The projections of IP-Adapters, which make tokens of what an image encoder sees: the authors' names and shapes -> diffusers' networks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

_PLAIN_TOKENS = 4
_FULL = (("proj.0.", "ff.net.0.proj."), ("proj.2.", "ff.net.2."), ("proj.3.", "norm."))
_PLUS = (
    (r"^(layers\.\d+)\.0\.norm1\.", r"\1.ln0."),
    (r"^(layers\.\d+)\.0\.norm2\.", r"\1.ln1."),
    (r"^(layers\.\d+)\.0\.to_out\.", r"\1.attn.to_out.0."),
    (r"^(layers\.\d+)\.0\.to_", r"\1.attn.to_"),
    (r"^(layers\.\d+)\.1\.0\.", r"\1.ff.0."),
    (r"^(layers\.\d+)\.1\.1\.", r"\1.ff.1.net.0.proj."),
    (r"^(layers\.\d+)\.1\.3\.", r"\1.ff.1.net.2."),
)
_HEAD = 64
"""Channels of an attention head in all of them."""


def projection_of(weights: Mapping[str, Tensor]) -> nn.Module:
    """The plain, full or plus projection with these weights. KeyError or RuntimeError where they do not fit together."""
    from diffusers.models.embeddings import ImageProjection, IPAdapterFullImageProjection, IPAdapterPlusImageProjection

    network: nn.Module
    if "proj.weight" in weights:
        wide, seen = weights["proj.weight"].shape
        network = ImageProjection(seen, wide // _PLAIN_TOKENS, _PLAIN_TOKENS)
        named = {key.replace("proj.", "image_embeds."): value for key, value in weights.items()}
    elif "proj.3.weight" in weights:
        network = IPAdapterFullImageProjection(weights["proj.0.weight"].shape[0], weights["proj.3.weight"].shape[0])
        named = {_replaced(key): value for key, value in weights.items()}
    else:
        network = IPAdapterPlusImageProjection(
            embed_dims=weights["proj_in.weight"].shape[1],
            output_dims=weights["proj_out.weight"].shape[0],
            hidden_dims=weights["latents"].shape[2],
            depth=1 + max(int(key.split(".")[1]) for key in weights if key.startswith("layers.")),
            heads=weights["layers.0.0.to_q.weight"].shape[0] // _HEAD,
            num_queries=weights["latents"].shape[1],
        )
        named = _resampler(weights)
    network.load_state_dict(named)
    return network


def _replaced(key: str) -> str:
    old, new = next(((old, new) for old, new in _FULL if key.startswith(old)), ("", ""))
    return new + key.removeprefix(old)


def _resampler(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for key, value in weights.items():
        name = key
        for old, new in _PLUS:
            name = re.sub(old, new, name)
        if ".to_kv." in name:
            found[name.replace("to_kv", "to_k")], found[name.replace("to_kv", "to_v")] = value.chunk(2)
        else:
            found[name] = value
    return found
