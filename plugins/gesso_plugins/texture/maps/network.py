"""The network: a picture to a height in pixels, a roughness and a metalness. Everything else follows from the height by geometry.

A U-Net (Ronneberger et al. 2015) whose deepest level also sees the mean of the whole picture, since what a material is made of is a
matter of the whole. Shading shows slopes, and shows them where they are, so slopes are what it finds; the height is the surface whose
slopes come closest (Frankot and Chellappa 1988), which wraps around as exactly as the picture. Heights are in pixels, so that what the
network says of a patch does not depend on the size of the picture.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from gesso.training.files import write_atomically

BUDGET = 3_000_000
MULTIPLE = 16


@dataclass(frozen=True)
class Predicted:
    """Tensors (N, H, W): height in pixels (its mean is nought), roughness and metalness in 0..1 as logits."""

    height: torch.Tensor
    roughness: torch.Tensor
    metallic: torch.Tensor


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, before: int, after: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups if before % groups == 0 else 1, before)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same size, `after` channels."""
        y = self.conv1(functional.silu(self.norm1(x)))
        y = self.conv2(functional.silu(self.norm2(y)))
        result: torch.Tensor = self.skip(x) + y
        return result


class MapsNetwork(nn.Module):
    """Pictures (N, 3, H, W) in [-1, 1], sides multiples of 16, to `Predicted`."""

    def __init__(self, channels: tuple[int, ...], groups: int) -> None:
        super().__init__()
        self.channels, self.groups = channels, groups
        self.enter = nn.Conv2d(3, channels[0], 3, padding=1)
        self.down = nn.ModuleList([Block(a, b, groups) for a, b in zip((channels[0], *channels[:-1]), channels, strict=True)])
        self.whole = nn.Linear(2 * channels[-1], channels[-1])
        self.deep = Block(channels[-1], channels[-1], groups)
        self.up = nn.ModuleList([Block(a + b, b, groups) for a, b in zip(channels[:0:-1], channels[-2::-1], strict=True)])
        self.norm = nn.GroupNorm(groups, channels[0])
        self.leave = nn.Conv2d(channels[0], 4, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(self, pictures: torch.Tensor) -> Predicted:
        """Heights, roughness and metalness of whole pictures."""
        x = self.enter(pictures)
        kept = []
        for number, block in enumerate(self.down):
            x = block(functional.avg_pool2d(x, 2) if number else x)
            kept.append(x)
        seen = torch.cat([x.mean((2, 3)), (x.var((2, 3), unbiased=False) + 1e-5).sqrt()], 1)
        x = self.deep(x + self.whole(seen)[:, :, None, None])
        for block, skip in zip(self.up, kept[-2::-1], strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1))
        right, up, roughness, metallic = self.leave(functional.silu(self.norm(x))).float().unbind(1)
        return Predicted(integrate(right, up), roughness, metallic)


def integrate(right: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """Heights (N, H, W) in pixels, of mean nought, whose central differences with wrap come closest to the slopes, by least squares.

    Frankot and Chellappa 1988, equation 21, with the transfer function i sin(w) of the central difference for i w; what that cannot
    see (the finest checkerboard) is left out.
    """
    rows, columns = right.shape[1:]
    across = torch.sin(2 * torch.pi * torch.fft.rfftfreq(columns, device=right.device))[None, :]
    upwards = -torch.sin(2 * torch.pi * torch.fft.fftfreq(rows, device=right.device))[:, None]
    seen = across.square() + upwards.square()
    spectrum = -1j * (across * torch.fft.rfft2(right) + upwards * torch.fft.rfft2(up))
    spectrum = torch.where(seen > 1e-6, spectrum / (seen + 1e-4), torch.zeros_like(spectrum))
    height: torch.Tensor = torch.fft.irfft2(spectrum, s=(rows, columns))
    return height


def to_tensor(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Bytes (N, H, W, 3) to floats (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).contiguous().float().div_(127.5).sub_(1)


def save_network(path: Path, network: MapsNetwork, record: dict[str, object]) -> int:
    """Keep a network in half precision with its shape and its record; the answer is its size, checked against the budget."""
    metadata = {"channels": json.dumps(network.channels), "groups": str(network.groups), "record": json.dumps(record, sort_keys=True)}
    tensors = {name: value.detach().half().contiguous() for name, value in network.state_dict().items()}
    write_atomically(path, lambda target: save_file(tensors, target, metadata))
    size = path.stat().st_size
    if size > BUDGET:
        raise ValueError(f"{path} has {size} bytes; at most {BUDGET} may ship: choose narrower channels")
    return size


def load_record(path: Path) -> dict[str, Any]:
    """How the network in a file came about."""
    record: dict[str, Any] = json.loads(_metadata(path)["record"])
    return record


def load_network(path: Path) -> MapsNetwork:
    """Read a network in full precision."""
    metadata = _metadata(path)
    network = MapsNetwork(tuple(json.loads(metadata["channels"])), int(metadata["groups"]))
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network.eval()


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata()
    return metadata
