"""Forward and backward in bfloat16: the same answer and gradients but for its eight bits, and weights that stay float32."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from gesso.training import precision


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inward = nn.Linear(16, 48)
        self.outward = nn.Linear(16, 4)

    def forward(self, words: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        query, key, value = self.inward(words[rows]).chunk(3, -1)
        answer: torch.Tensor = self.outward(functional.scaled_dot_product_attention(query, key, value))
        return answer


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(6, 8, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([5, 0, 3])


def gradients(module: nn.Module, inputs: tuple[torch.Tensor, torch.Tensor], half: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
    module.zero_grad()
    answer = precision.call(module, *inputs, half=half)
    answer.float().square().sum().backward()
    return answer.detach(), [parameter.grad.clone() for parameter in module.parameters() if parameter.grad is not None]


def test_answer_and_gradients_are_those_of_full_precision_but_rounded(inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.manual_seed(0)
    module = Attention()
    before = [parameter.clone() for parameter in module.parameters()]
    answer, full = gradients(module, inputs, half=False)
    rounded, halved = gradients(module, inputs, half=True)
    assert answer.dtype == torch.float32
    assert rounded.dtype == torch.bfloat16
    assert len(full) == len(halved) == 4
    for ours, theirs, weight, old in zip(halved, full, module.parameters(), before, strict=True):
        assert ours.dtype == torch.float32
        assert not torch.equal(ours, theirs)
        assert functional.cosine_similarity(ours.flatten(), theirs.flatten(), 0) > 0.999
        assert torch.equal(weight, old)
