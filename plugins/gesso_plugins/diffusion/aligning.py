"""Self-attention in which each picture also looks at another that leads it (Hertz et al. 2024, StyleAligned, arXiv 2312.02133), on the
instances only, so that taking it back leaves no trace.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from gesso_plugins.diffusion.perturbing import replace_forward

if TYPE_CHECKING:
    from torch import Tensor, nn

_EPSILON = 1e-5


@contextlib.contextmanager
def aligned(network: nn.Module, share: float) -> Iterator[None]:
    """Replace the ``forward`` of every self-attention for the time of the context; one that guidance has perturbed stays as it is."""
    replaced: list[nn.Module] = []
    try:
        for block in network.modules():
            attention: Any = getattr(block, "attn1", None)
            if attention is not None and not getattr(block, "only_cross_attention", False):
                replace_forward(attention, functools.partial(_following, attention, share), replaced)
        yield
    finally:
        for module in replaced:
            del module.forward


def _following(attention: Any, share: float, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
    """The first half of the rows looks at itself and at the second, the second at itself."""
    query, key, value = (_heads(layer(hidden_states), attention.heads) for layer in (attention.to_q, attention.to_k, attention.to_v))
    (own_query, lead_query), (own_key, lead_key), (own_value, lead_value) = (each.chunk(2) for each in (query, key, value))
    keys = torch.cat([_with_statistics(own_key, lead_key, share), lead_key], dim=2)
    less = torch.zeros(1, 1, 1, keys.shape[2], dtype=keys.dtype, device=keys.device)
    less[..., own_key.shape[2] :] = math.log(share)
    followers = functional.scaled_dot_product_attention(
        _with_statistics(own_query, lead_query, share), keys, torch.cat([own_value, lead_value], dim=2), less
    )
    leads = functional.scaled_dot_product_attention(lead_query, lead_key, lead_value)
    found = torch.cat([followers, leads]).transpose(1, 2).flatten(2)
    answer: Tensor = attention.to_out[1](attention.to_out[0](found))
    return answer


def _heads(states: Tensor, heads: int) -> Tensor:
    """(B, n, heads * d) -> (B, heads, n, d)."""
    return states.view(*states.shape[:2], heads, -1).transpose(1, 2)


def _with_statistics(own: Tensor, lead: Tensor, share: float) -> Tensor:
    """AdaIN over the tokens (equation 3): the lead's mean and deviation of each channel, taken on by ``share``."""
    (mean, deviation), (wanted, spread) = ((each.mean(2, keepdim=True), _deviation(each)) for each in (own, lead))
    return own.lerp((own - mean) / deviation * spread + wanted, share)


def _deviation(states: Tensor) -> Tensor:
    return (states.var(2, unbiased=False, keepdim=True) + _EPSILON).sqrt()
