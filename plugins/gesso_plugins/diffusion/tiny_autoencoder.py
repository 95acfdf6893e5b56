"""How tiny autoencoders (TAESD) lie in files: one of diffusers, or two halves whose names say which they are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gesso.errors import ModelError
from gesso_plugins.diffusion.files import read_header

CLASS = "AutoencoderTiny"


def is_whole(header: Mapping[str, Any]) -> bool:
    """Whether these are the tensors of both halves, as diffusers names them."""
    return "encoder.layers.0.weight" in header and "decoder.layers.0.weight" in header


def is_half(header: Mapping[str, Any]) -> bool:
    """Whether these are the tensors of the decoding half: what it clamps with comes first and has none."""
    return "1.weight" in header and "3.conv.0.weight" in header


def halves(path: Path) -> list[Path]:
    """The decoding half and the encoding one beside it."""
    other = path.with_name(path.name.replace("decoder", "encoder"))
    if other == path or not other.is_file():
        raise ModelError(
            f"{path} is the decoding half of a tiny autoencoder; the encoding half is not beside it.",
            hint="Put taesd_decoder.safetensors and taesd_encoder.safetensors (or another pair of such names) into one folder.",
        )
    return [path, other]


def renamed(file: Path, key: str) -> str:
    """A tensor's name as diffusers has it, which counts the decoder's layers from the one after the clamp."""
    if key.startswith(("encoder.", "decoder.")):
        return key
    number, _, rest = key.partition(".")
    return f"decoder.layers.{int(number) - 1}.{rest}" if "decoder" in file.name else f"encoder.layers.{number}.{rest}"


def shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Shapes by the names of diffusers."""
    try:
        return {renamed(file, key): shape for key, (_, shape) in read_header(file).items()}
    except ValueError as fault:
        raise ModelError(f"{file} is no half of a tiny autoencoder.", hint="Get it again, or as a directory of diffusers.") from fault


def settings(found: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The configuration, read off the shapes."""
    width, latents = found["decoder.layers.0.weight"][:2]
    coder, decoder = (_blocks(found, half) for half in ("encoder", "decoder"))
    return {
        "_class_name": CLASS,
        "latent_channels": latents,
        "encoder_block_out_channels": [width] * len(coder),
        "decoder_block_out_channels": [width] * len(decoder),
        "num_encoder_blocks": coder,
        "num_decoder_blocks": decoder,
    }


def _blocks(found: Mapping[str, tuple[int, ...]], half: str) -> list[int]:
    """How many blocks stand on each level: between one convolution that is not part of a block and the next."""
    layers = [key.removeprefix(f"{half}.layers.") for key in found if key.startswith(f"{half}.layers.")]
    borders = sorted(int(key.removesuffix(".weight")) for key in layers if key.count(".") == 1 and key.endswith(".weight"))
    blocks = [int(key.partition(".")[0]) for key in layers if key.endswith(".conv.0.weight")]
    return [sum(start < block < end for block in blocks) for start, end in itertools.pairwise(borders)]
