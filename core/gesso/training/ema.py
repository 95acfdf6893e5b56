"""An exponential moving average of the trained tensors: what is sampled, exported and measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch


class Trained(Protocol):
    """What is trained: its tensors by name (not copies), and a way to put others in their place. A training subclasses it."""

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every trained tensor."""
        ...

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Copy tensors named as `named_tensors` names them."""
        with torch.no_grad():
            for name, value in self.named_tensors().items():
                value.copy_(tensors[name])


def tensors_of(**parts: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The parameters of several networks, each named after its part."""
    return {f"{part}.{name}": value.detach() for part, module in parts.items() for name, value in module.named_parameters()}


class Average:
    """The average follows quickly at first, then with its full memory."""

    def __init__(self, model: Trained, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.tensors = {name: value.clone() for name, value in model.named_tensors().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the current tensors."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in self.model.named_tensors().items():
            self.tensors[name].lerp_(value, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model with the averaged tensors, for as long as the block lasts."""
        own = {name: value.clone() for name, value in self.model.named_tensors().items()}
        self.model.load_tensors(self.tensors)
        try:
            yield
        finally:
            self.model.load_tensors(own)
