"""The Inception network that FID and Inception Score are defined by, from its standard weights. It trains nothing and downloads nothing.

Szegedy et al. 2016 (arXiv 1512.00567) as TensorFlow released it on 5 December 2015: 1008 classes, means that leave padding out, and the
largest instead of the mean in the last block. Names are those under which PyTorch users pass these weights on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from gesso.errors import ModelError

SIDE, CLASSES, WIDTH = 299, 1008, 2048
Kernel = tuple[int, int]
Step = tuple[str, int, Kernel]
"""A convolution in a branch: its name, how many channels it gives, its kernel."""
ONE, THREE, FIVE, FLAT, TALL = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)


class Unit(nn.Module):
    """A convolution without a bias, normalised and rectified."""

    def __init__(self, before: int, after: int, kernel: Kernel, stride: int = 1, padded: bool = True) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Channels ``before`` to ``after``."""
        return functional.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Branches side by side, the pooled one last. branches: chains of steps; of one whose name ends in ``a`` and the next in ``b`` both see
    the same. pool: ``mean``, ``max``, or ``half``, where the block halves the sides: last steps have stride 2, and pooling no convolution.
    """

    def __init__(self, before: int, branches: Sequence[Sequence[Step]], pool: str, pooled: int = 0) -> None:
        super().__init__()
        self.pool = pool
        self.names = tuple(tuple(name for name, _, _ in branch) for branch in branches)
        for branch in branches:
            width = before
            for place, (name, after, kernel) in enumerate(branch):
                last = pool == "half" and place == len(branch) - 1
                self.add_module(name, Unit(width, after, kernel, 2 if last else 1, not last))
                width = width if name.endswith("a") else after
        if pool != "half":
            self.branch_pool = Unit(before, pooled, ONE)

    def forward(self, x: Tensor) -> Tensor:
        """All branches' channels, one after the other."""
        found = [self._along(names, x) for names in self.names]
        if self.pool == "half":
            return torch.cat([*found, functional.max_pool2d(x, 3, 2)], 1)
        mean = self.pool == "mean"
        pooled = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False) if mean else functional.max_pool2d(x, 3, 1, 1)
        return torch.cat([*found, self.branch_pool(pooled)], 1)

    def _along(self, names: Sequence[str], x: Tensor) -> Tensor:
        for place, name in enumerate(names):
            if name.endswith("a"):
                return torch.cat([self.get_submodule(fork)(x) for fork in names[place:]], 1)
            x = self.get_submodule(name)(x)
        return x


def _squares(before: int, pooled: int) -> Block:
    double = [("branch3x3dbl_1", 64, ONE), ("branch3x3dbl_2", 96, THREE), ("branch3x3dbl_3", 96, THREE)]
    return Block(before, [[("branch1x1", 64, ONE)], [("branch5x5_1", 48, ONE), ("branch5x5_2", 64, FIVE)], double], "mean", pooled)


def _lines(width: int) -> Block:
    single = [("branch7x7_1", width, ONE), ("branch7x7_2", width, FLAT), ("branch7x7_3", 192, TALL)]
    double = [("branch7x7dbl_1", width, ONE), ("branch7x7dbl_2", width, TALL), ("branch7x7dbl_3", width, FLAT)]
    double += [("branch7x7dbl_4", width, TALL), ("branch7x7dbl_5", 192, FLAT)]
    return Block(768, [[("branch1x1", 192, ONE)], single, double], "mean", 192)


def _forks(before: int, pool: str) -> Block:
    single = [("branch3x3_1", 384, ONE), ("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))]
    double = [("branch3x3dbl_1", 448, ONE), ("branch3x3dbl_2", 384, THREE)]
    double += [("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))]
    return Block(before, [[("branch1x1", 320, ONE)], single, double], pool, 192)


class Inception(nn.Module):
    """Pictures to `WIDTH` features, and to probabilities of `CLASSES` classes."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, THREE, 2, padded=False)
        self.Conv2d_2a_3x3 = Unit(32, 32, THREE, padded=False)
        self.Conv2d_2b_3x3 = Unit(32, 64, THREE)
        self.Conv2d_3b_1x1 = Unit(64, 80, ONE)
        self.Conv2d_4a_3x3 = Unit(80, 192, THREE, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _squares(192, 32), _squares(256, 64), _squares(288, 64)
        double = [("branch3x3dbl_1", 64, ONE), ("branch3x3dbl_2", 96, THREE), ("branch3x3dbl_3", 96, THREE)]
        self.Mixed_6a = Block(288, [[("branch3x3", 384, THREE)], double], "half")
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = _lines(128), _lines(160), _lines(160), _lines(192)
        long = [("branch7x7x3_1", 192, ONE), ("branch7x7x3_2", 192, FLAT), ("branch7x7x3_3", 192, TALL), ("branch7x7x3_4", 192, THREE)]
        self.Mixed_7a = Block(768, [[("branch3x3_1", 192, ONE), ("branch3x3_2", 320, THREE)], long], "half")
        self.Mixed_7b, self.Mixed_7c = _forks(1280, "mean"), _forks(2048, "max")
        self.fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, 299, 299) in -1..1 -> features (N, 2048), and logits (N, 1008) without the last bias, as Inception Score takes them."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(functional.max_pool2d(x, 3, 2)))
        x = functional.max_pool2d(x, 3, 2)
        for name, block in self.named_children():
            x = block(x) if name.startswith("Mixed") else x
        features = x.mean((2, 3))
        return features, features @ self.fc.weight.T

    @torch.no_grad()
    def look(
        self, pictures: Sequence[npt.NDArray[np.uint8]], tell: Callable[[int], None]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Features and class probabilities of pictures (H, W, 3), one after the other."""
        rows = []
        for done, picture in enumerate(pictures, 1):
            features, logits = self(stretched(picture))
            rows.append((features[0].double().numpy(), logits[0].double().softmax(0).numpy()))
            tell(done)
        return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])


def stretched(picture: npt.NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) -> (1, 3, 299, 299) in -1..1, linearly, the first pixels of both on one another, as TensorFlow 1 does it."""
    x = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
    for axis in (2, 3):
        at = torch.arange(SIDE) * (x.shape[axis] / SIDE)
        low = at.long()
        share = (at - low).view(-1, 1) if axis == 2 else at - low
        first, second = x.index_select(axis, low), x.index_select(axis, (low + 1).clamp(max=x.shape[axis] - 1))
        x = first + (second - first) * share
    return (x - 128) / 128


def load(path: Path) -> Inception:
    """The network with the weights of a .safetensors file; ModelError where they are not its own."""
    with torch.device("meta"):
        network = Inception()
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items() if not name.endswith("num_batches_tracked")}
    except (SafetensorError, OSError) as fault:
        said = f"{path} cannot be read as a .safetensors file: {fault}."
        raise ModelError(said, field="inception", hint="docs/evaluation.md says how to make it.") from fault
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    if {name: tensor.shape for name, tensor in tensors.items()} != wanted:
        raise ModelError(
            f"{path} is not the Inception network of FID: its tensors have other names or shapes.",
            field="inception",
            hint="docs/evaluation.md says which file it is and how to make it.",
        )
    network.load_state_dict(tensors | _counters(network), assign=True)
    return network.eval().requires_grad_(False)


def _counters(network: Inception) -> dict[str, Tensor]:
    """What only training would read."""
    return {name: torch.zeros((), dtype=torch.long) for name in network.state_dict() if name.endswith("num_batches_tracked")}
