"""How networks are held where room is short: one part of a model on the device at a time, linear layers as whole numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from gesso.model import Thrift


class Turns:
    """Parts of a model that take turns on a device; those whose turn it is not rest in the machine's memory. ``moves`` counts the turns."""

    def __init__(self, parts: Mapping[str, Iterable[nn.Module]], device: torch.device, rest: torch.device) -> None:
        self._parts = {name: tuple(networks) for name, networks in parts.items()}
        self._device = device
        self._rest = rest
        self._there: set[str] = set()
        self.moves = 0

    @property
    def nbytes(self) -> int:
        """Of the largest part."""
        return max(map(self._size, self._parts))

    @property
    def on_device(self) -> int:
        """Bytes that are on the device now."""
        return sum(map(self._size, self._there))

    def take(self, part: str) -> None:
        """Let this part onto the device; the others leave first, unless a gradient may still lead back through them."""
        if part in self._there:
            return
        if not torch.is_grad_enabled():
            for other in self._there:
                self._move(other, self._rest)
            self._there.clear()
        self._move(part, self._device)
        self._there.add(part)
        self.moves += 1

    def _move(self, part: str, to: torch.device) -> None:
        for network in self._parts[part]:
            network.to(to)

    def _size(self, part: str) -> int:
        return sum(map(size_of, self._parts[part]))


def size_of(network: nn.Module) -> int:
    """Bytes of its weights."""
    held = (tensor for tensors in (network.parameters(), network.buffers()) for tensor in tensors)
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


class Int8Linear(nn.Linear):
    """A linear layer whose weight is held as whole numbers of 8 bits with a scale for each output (round to nearest, symmetric), and
    computed with in the number format of its input.
    """

    whole: Tensor
    scale: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias = layer.in_features, layer.out_features, layer.bias
        rows = layer.weight.detach()
        scale = rows.abs().amax(dim=1, keepdim=True).float().clamp(min=torch.finfo(torch.float32).tiny) / 127
        self.register_buffer("whole", (rows / scale).round().to(torch.int8))
        self.register_buffer("scale", scale.to(rows.dtype))

    @property
    def weight(self) -> Tensor:  # type: ignore[override]  # nn.Linear has an attribute there, which may be written
        """What the whole numbers stand for, (outputs, inputs)."""
        return self.whole.to(self.scale.dtype) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (..., inputs) -> (..., outputs)."""
        return nn.functional.linear(x, self.weight, self.bias)


def as_int8(network: nn.Module) -> None:
    """Every linear layer, in place."""
    for name, layer in list(network.named_modules()):
        if type(layer) is nn.Linear:
            network.set_submodule(name, Int8Linear(layer))


def run_as_wished(networks: Iterable[nn.Module], thrift: Thrift) -> None:
    """With channels last, and compiled, where the owner wants that."""
    for network in networks:
        if thrift.channels_last:
            for tensor in network.parameters():
                if tensor.dim() == 4:
                    tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
        if thrift.compiled:
            network.compile()
