"""Lets the cross-attention of a UNet hear further tokens for the time of a forward, by hooks that leave no trace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from gesso_plugins.diffusion.steering import Spoken


def cross_attentions(unet: Any) -> dict[str, Any]:
    """By their names, in the order that IP-Adapters count them: as diffusers lists its processors."""
    names = [name.removesuffix(".processor") for name in unet.attn_processors if name.endswith("attn2.processor")]
    return {name: unet.get_submodule(name) for name in names}


def fits(layers: Mapping[str, Any], spoken: Spoken) -> bool:
    """Whether there is a pair of matrices for each layer, shaped like its own, and tokens are as wide as words."""
    shapes = [tuple(layer.to_k.weight.shape) for layer in layers.values()]
    return shapes == [tuple(keys.shape) for keys, _ in spoken.pairs] and all(spoken.tokens.shape[-1] == width for _, width in shapes)


@contextlib.contextmanager
def listening(layers: Mapping[str, Any], all_spoken: Sequence[Spoken]) -> Iterator[None]:
    """Within, each layer adds what it finds in the tokens, times their strength (eq. 5 of the IP-Adapter paper)."""
    hooks = []
    try:
        for number, (name, layer) in enumerate(layers.items()):
            heard = [spoken for spoken in all_spoken if not spoken.layer or name.startswith(f"{spoken.layer}.")]
            if not heard:
                continue
            asked: list[Tensor] = []
            hooks.append(layer.to_q.register_forward_hook(partial(_remember, asked)))
            hooks.append(layer.to_out[0].register_forward_pre_hook(partial(_add, _Heard(layer, number, heard, asked))))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _remember(asked: list[Tensor], layer: Any, inputs: Any, query: Tensor) -> None:  # noqa: ARG001  (as torch calls hooks)
    asked[:] = [query]


@dataclass(frozen=True)
class _Heard:
    """What the layer ``number`` hears besides, and the query that it has just made."""

    layer: Any
    number: int
    spoken: Sequence[Spoken]
    asked: list[Tensor]


def _add(heard: _Heard, module: Any, inputs: tuple[Tensor]) -> tuple[Tensor]:  # noqa: ARG001  (as torch calls hooks)
    (answer,), layer, query = inputs, heard.layer, heard.asked.pop()
    rows, length, width = query.shape
    heads = query.view(rows, length, layer.heads, width // layer.heads).transpose(1, 2)
    for spoken in heard.spoken:
        tokens = spoken.tokens.to(query.dtype)
        pair = (functional.linear(tokens, matrix.to(query.dtype)) for matrix in spoken.pairs[heard.number])
        key, value = (each.view(rows, -1, layer.heads, width // layer.heads).transpose(1, 2) for each in pair)
        found = functional.scaled_dot_product_attention(heads, key, value)
        answer = answer + spoken.strength * found.transpose(1, 2).reshape(rows, length, width)
    return (answer,)
