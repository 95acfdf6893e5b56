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
    """The transformers of a UNet by their names in diffusers, from its configuration: that in the middle first (Ahn et al. 2024
    perturb it in Stable Diffusion), then from the inside out.
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
    """Replace the ``forward`` of the layers' blocks for the time of the context. A layer is a transformer, or one block of it."""
    replaced: list[nn.Module] = []
    try:
        for name in perturbation.layers:
            for block in _blocks(network, name):
                if perturbation.kind == "skip":
                    replace_forward(block, _passed_by, replaced)
                else:
                    replace_forward(block.attn1, functools.partial(_each_sees_itself, block.attn1), replaced)
        yield
    finally:
        for module in replaced:
            del module.forward


def _blocks(network: nn.Module, name: str) -> list[Any]:
    """The BasicTransformerBlocks of diffusers behind a name: all of a Transformer2DModel, or one."""
    try:
        layer: Any = network.get_submodule(name)
    except AttributeError:
        layer = None
    blocks = list(getattr(layer, "transformer_blocks", [layer]))
    if not all(hasattr(block, "attn1") for block in blocks):
        raise InvalidRequest(f"The network has no layer {name!r} that can be perturbed.", field="guidance_extra")
    return blocks


def replace_forward(module: nn.Module, forward: Any, replaced: list[nn.Module]) -> None:
    """On the instance, unless it was replaced already; ``del module.forward`` takes it back."""
    if "forward" not in vars(module):
        module.forward = forward
        replaced.append(module)


def _passed_by(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
    """A block that adds nothing to what passes it, as diffusers' LayerSkipConfig has it; the projections around the blocks stay."""
    return hidden_states


def _each_sees_itself(attention: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
    """Self-attention whose map is the identity: the values go straight to the output's projection."""
    values = attention.to_v(hidden_states)
    projected: Tensor = attention.to_out[1](attention.to_out[0](values))
    return projected
