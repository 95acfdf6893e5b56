"""T2I-Adapters (Mou et al. 2023, arXiv 2302.08453): a small network that reads a picture and adds to the features of each level of a UNet,
the same at every step. Directories of diffusers, and files of the original layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import ModelError
from gesso.model import ModelCard
from gesso_plugins.diffusion.alone import Alone, AloneFamily, Steers
from gesso_plugins.diffusion.files import read_header
from gesso_plugins.diffusion.steering import Steering

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_BASES = {"full_adapter": "sd1", "light_adapter": "sd1", "full_adapter_xl": "sdxl"}
_FULL = re.compile(r"body\.(\d+)\.((?:block[12]|in_conv)\.\w+)")
_LIGHT = re.compile(r"^(body\.\d+)\.body\.")
_FIRST = "adapter.body.0.resnets.0.block1.weight"
_LUMA = (0.299, 0.587, 0.114)


class T2IAdapterFamily(AloneFamily):
    """Recognises, describes and loads them. A base is told by the kind of adapter: only SDXL has one of its own."""

    name = "t2i-adapter"
    title = "T2I-Adapter"
    classes = ("T2IAdapter",)
    capabilities = frozenset({"controlnet"})

    def base(self, settings: Mapping[str, Any]) -> str:
        """SD 1.x or SDXL."""
        return _BASES.get(str(settings.get("adapter_type")), "")

    def file_settings(self, path: Path) -> dict[str, Any]:
        """By the shapes of its layers."""
        header = read_header(path)
        shapes = {new: header[old][1] for old, new in _renamed(header).items()}
        if not all(key.startswith(("adapter.body.", "adapter.conv_in.")) for key in shapes) or _FIRST not in shapes:
            hint = "Get it in that layout, or as a directory of diffusers."
            raise ModelError(f"{path} is no T2I-Adapter in the original layout.", hint=hint)
        return _settings(shapes)

    def file_tensors(self, path: Path, read: Mapping[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        """From the original layout."""
        return {new: read[old] for old, new in _renamed(read).items()}

    def load(self, card: ModelCard, on: torch.device) -> T2IAdapter:
        """In half precision on an accelerator."""
        from diffusers.models.adapter import T2IAdapter as Network

        from gesso_plugins.diffusion import loading

        assert card.path is not None
        _, half = loading.places(on)
        return T2IAdapter(card, loading.diffusers_network(Network, Alone(self, card.path), self.name, half), self.title)


def _settings(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """By shapes: the first layer reads a picture folded 8 (SDXL: 16) times each way, and only SDXL narrows it at the last but one level."""
    levels = 1 + max(int(key.split(".")[2]) for key in shapes if key.startswith("adapter.body."))
    blocks = 1 + max(int(key.split(".")[4]) for key in shapes if key.startswith("adapter.body.0.resnets."))
    light = "adapter.body.0.out_conv.weight" in shapes
    last = "out_conv" if light else "resnets.0.block2"
    channels = [shapes[f"adapter.body.{level}.{last}.weight"][0] for level in range(levels)]
    folded = shapes["adapter.body.0.in_conv.weight" if light else "adapter.conv_in.weight"][1]
    factor = 16 if folded in (256, 768) else 8
    kind = "light_adapter" if light else "full_adapter_xl" if factor == 16 else "full_adapter"
    return {
        "adapter_type": kind,
        "in_channels": folded // factor**2,
        "channels": channels[:-1] if light else channels,
        "num_res_blocks": blocks,
        "downscale_factor": factor,
    }


def _renamed(keys: Iterable[str]) -> dict[str, str]:
    """Names of the original layout (the full adapter counts its blocks through, two a level) or of diffusers, as diffusers has them."""
    keys = list(keys)
    light = any(key.endswith(".out_conv.weight") for key in keys)
    found = {key: key if key.startswith("adapter.") else _LIGHT.sub(r"\1.resnets.", key) if light else _level(key) for key in keys}
    return {old: new if new.startswith("adapter.") else f"adapter.{new}" for old, new in found.items()}


def _level(key: str) -> str:
    match = _FULL.fullmatch(key)
    if match is None:
        return key
    level, within = divmod(int(match[1]), 2)
    return f"body.{level}.{match[2]}" if match[2].startswith("in_conv.") else f"body.{level}.resnets.{within}.{match[2]}"


class T2IAdapter(Steers):
    """A loaded T2I-Adapter."""

    def steer(self, inputs: Mapping[str, Any], picture: Tensor, strength: float) -> Steering:
        """What to add to each level; ``inputs``, those of the UNet, change nothing."""
        del inputs
        return Steering(features=[feature * strength for feature in self.of(picture, lambda: self._features(picture))])

    def _features(self, picture: Tensor) -> Sequence[Tensor]:
        if self._run.config.in_channels == 1:
            picture = (picture * picture.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        features: Sequence[Tensor] = self._run(picture.to(self._dtype))
        return features
