"""Small safetensors files made by hand, so that these tests need neither torch nor the library that reads them."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gesso.library import Layouts, read_layouts
from gesso.manifest import first_party

BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1}


def header_of(tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The header of a sound file with these tensors."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, (dtype, shape) in tensors.items():
        end = at + math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return header


def write(path: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None) -> Path:
    """A sound file of zeros."""
    header = header_of(tensors, metadata)
    size = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    return write_raw(path, json.dumps(header).encode(), bytes(size))


def write_raw(path: Path, header: bytes, data: bytes, length: int | None = None) -> Path:
    """Any bytes as a header, with any length said of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return path


SD1 = {
    "model.diffusion_model.input_blocks.0.0.weight": ("F16", (32, 4, 3, 3)),
    "cond_stage_model.transformer.text_model.final_layer_norm.weight": ("F16", (8,)),
    "first_stage_model.decoder.conv_in.weight": ("F16", (8, 4, 3, 3)),
}
LORA = {
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": ("F16", (4, 768)),
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": ("F16", (320, 4)),
}


@pytest.fixture(scope="session")
def layouts() -> Layouts:
    """The tables that ship with Gesso."""
    return read_layouts(first_party())
