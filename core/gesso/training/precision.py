"""Mixed precision on a processor: forward and backward in bfloat16, weights and gradients in float32 (Micikevicius et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def lowered(half: bool) -> torch.autocast:
    """Where convolutions and matrix products of forwards are computed in bfloat16: for networks that change their own buffers as they go
    (spectral norm), whose copies `call` would change. Everything between them takes what it gets. No cast is kept, since weights change
    between forwards.
    """
    return torch.autocast("cpu", torch.bfloat16, enabled=half, cache_enabled=False)


class _SingleAttention(TorchFunctionMode):
    """Attention in float32, whatever its inputs: torch's fused kernel for processors is several times slower in bfloat16, and spelled
    out in matrix products it writes every weight to memory (2.6 times slower over 256 tokens).
    """

    def __torch_function__(self, func: Callable[..., Any], types: Iterable[Any], args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not functional.scaled_dot_product_attention:
            return func(*args, **kwargs)
        single = [_single(value) for value in args]  # a mask that is added as well
        return func(*single, **{name: _single(value) for name, value in kwargs.items()}).to(args[0].dtype)


def _single(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def call(module: nn.Module, *inputs: torch.Tensor, half: bool) -> Any:
    """What `module` answers to `inputs`. With `half` it computes in bfloat16 with copies of its float32 weights, which keep the gradients.

    Pays where the processor multiplies bfloat16 natively (AVX512-BF16, AMX: twice as fast).
    """
    if not half:
        return module(*inputs)
    weights = {name: value.to(torch.bfloat16) for name, value in module.named_parameters()}
    halved = tuple(value.to(torch.bfloat16) if value.is_floating_point() else value for value in inputs)
    with _SingleAttention():
        return functional_call(module, weights, halved)
