"""Mixed precision on a processor: forward and backward in bfloat16, weights and gradients in float32 (Micikevicius et al. 2018)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel


def call(module: nn.Module, *inputs: torch.Tensor, half: bool) -> Any:
    """What `module` answers to `inputs`. With `half` it computes in bfloat16 with copies of its float32 weights, which keep the gradients.

    Pays where the processor multiplies bfloat16 natively (AVX512-BF16, AMX: 1.8 times as fast). Attention is then spelled out in matrix
    products, because torch's fused kernel for processors is several times slower in bfloat16 than in float32.
    """
    if not half:
        return module(*inputs)
    weights = {name: value.to(torch.bfloat16) for name, value in module.named_parameters()}
    halved = tuple(value.to(torch.bfloat16) if value.is_floating_point() else value for value in inputs)
    with sdpa_kernel(SDPBackend.MATH):
        return functional_call(module, weights, halved)
