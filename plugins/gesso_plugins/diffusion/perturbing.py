"""Which layers of a UNet can be perturbed, and how: on the instances only, so that taking it back leaves no trace."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gesso.model import Perturbation


def layers_of(unet: Mapping[str, Any]) -> tuple[str, ...]:
    """The transformers of a UNet by their names in diffusers, from its configuration: that in the middle first (Ahn et al. 2024, section
    5, find it the best to perturb), then from the inside out.
    """
    down, up = unet.get("down_block_types", ()), unet.get("up_block_types", ())
    counts = unet.get("layers_per_block", 2)
    each = [counts] * len(down) if isinstance(counts, int) else list(counts)
    middle = unet.get("mid_block_type", "UNetMidBlock2DCrossAttn") == "UNetMidBlock2DCrossAttn"
    names = ["mid_block.attentions.0"] if middle else []
    for i in reversed(range(len(down))):
        if down[i] == "CrossAttnDownBlock2D":
            names += [f"down_blocks.{i}.attentions.{j}" for j in range(each[i])]
        opposite = len(down) - 1 - i
        if opposite < len(up) and up[opposite] == "CrossAttnUpBlock2D":
            names += [f"up_blocks.{opposite}.attentions.{j}" for j in range(each[i] + 1)]
    return tuple(names)


@contextlib.contextmanager
def perturbed(network: nn.Module, perturbation: Perturbation) -> Iterator[None]:
    """Replace the ``forward`` of the layers for the time of the context."""
    replaced: list[nn.Module] = []
    try:
        for name in perturbation.layers:
            layer = _layer(network, name)
            if perturbation.kind == "skip":
                _replace(layer, _passed_by, replaced)
            else:
                for block in layer.transformer_blocks:  # type: ignore[union-attr]  # diffusers' Transformer2DModel
                    _replace(block.attn1, functools.partial(_each_sees_itself, block.attn1), replaced)
        yield
    finally:
        for module in replaced:
            del module.forward


def _layer(network: nn.Module, name: str) -> nn.Module:
    try:
        layer = network.get_submodule(name)
    except AttributeError:
        layer = None
    if layer is None or not hasattr(layer, "transformer_blocks"):
        raise InvalidRequest(f"The network has no layer {name!r} that can be perturbed.", field="guidance_extra")
    return layer


def _replace(module: nn.Module, forward: Any, replaced: list[nn.Module]) -> None:
    if "forward" not in vars(module):
        module.forward = forward
        replaced.append(module)


def _passed_by(hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor]:
    """A transformer that adds nothing to what passes it."""
    return (hidden_states,)


def _each_sees_itself(attention: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
    """Self-attention whose map is the identity: the values go straight to the output's projection."""
    values = attention.to_v(hidden_states)
    projected: Tensor = attention.to_out[1](attention.to_out[0](values))
    return projected
