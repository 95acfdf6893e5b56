"""Circular padding for convolutions, per axis, so that what a network makes tiles; taken back without a trace.

The switch replaces the padding of every `Conv2d`, and of the strided downsamplers that pad by hand (the encoder of
`AutoencoderKL`), on the instances only: ejecting deletes what was put there, so a network computes equal bits again.
It touches no weight and knows no model family.

A network may say of parts of it that they keep their zeros (``zero_padded`` in its configuration, names of children): where a part sees the
border it knows the place in the tile, and what comes after it closes the picture.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn
from torch.nn import functional

Forward = Callable[..., torch.Tensor]
ZERO_PADDED = "zero_padded"
"""The key of a network's configuration that names its children whose padding is never replaced."""


class Seamless:
    """Circular padding of one module along x, y or both: `inject` and `eject` are inverses."""

    def __init__(self, module: nn.Module, x: bool, y: bool) -> None:
        self.module = module
        self.x = x
        self.y = y
        self._patched: list[tuple[nn.Module, str]] = []

    @property
    def injected(self) -> bool:
        """True while the padding is in place."""
        return bool(self._patched)

    def inject(self) -> Seamless:
        """Put the padding in place; a module that already carries one is refused."""
        if not (self.x or self.y):
            return self
        replacements = list(_replacements(self.module, self.x, self.y))
        for part, attribute, _ in replacements:
            if attribute in vars(part):
                raise ValueError(f"{type(part).__name__}.{attribute} is already replaced: eject the earlier padding first")
        for part, attribute, forward in replacements:
            setattr(part, attribute, forward)
            self._patched.append((part, attribute))
        return self

    def eject(self) -> None:
        """Take the padding away again; without effect where none is in place."""
        while self._patched:
            part, attribute = self._patched.pop()
            delattr(part, attribute)


def make_seamless(module: nn.Module, x: bool = True, y: bool = True) -> Seamless:
    """Inject circular padding into `module` along the axes asked for; the answer's `eject` takes it back."""
    return Seamless(module, x, y).inject()


def _replacements(module: nn.Module, x: bool, y: bool) -> Iterator[tuple[nn.Module, str, Forward]]:
    """What to put on which part of a module: (part, attribute, forward)."""
    config = getattr(module, "config", None)
    kept = tuple(config.get(ZERO_PADDED, ())) if isinstance(config, Mapping) else ()
    for name, part in module.named_modules():
        if name.partition(".")[0] in kept:
            continue
        if isinstance(part, nn.Conv2d):
            if part.padding_mode == "zeros" and any(part._reversed_padding_repeated_twice):
                yield part, "_conv_forward", functools.partial(_conv_forward, part, x, y)
        elif _pads_by_hand(part):
            yield part, "forward", functools.partial(_downsample_forward, part, x, y)


def _conv_forward(conv: nn.Conv2d, x: bool, y: bool, value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`Conv2d._conv_forward` with the chosen axes padded circularly, the other with zeros."""
    left, right, top, bottom = conv._reversed_padding_repeated_twice
    value = pad_axes(value, (left, right, top, bottom), x, y)
    return functional.conv2d(value, weight, bias, conv.stride, 0, conv.dilation, conv.groups)


def _downsample_forward(part: nn.Module, x: bool, y: bool, value: torch.Tensor) -> torch.Tensor:
    """The forward of diffusers' `Downsample2D` where it pads one row and one column of zeros itself."""
    norm, conv = part.norm, part.conv
    if isinstance(norm, nn.Module):
        value = norm(value.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert isinstance(conv, nn.Module)
    result: torch.Tensor = conv(pad_axes(value, (0, 1, 0, 1), x, y))
    return result


def pad_axes(value: torch.Tensor, pads: tuple[int, int, int, int], x: bool, y: bool) -> torch.Tensor:
    """Pad (left, right, top, bottom): circularly along the chosen axes, with zeros along the others."""
    left, right, top, bottom = pads
    wrapped = (left if x else 0, right if x else 0, top if y else 0, bottom if y else 0)
    if any(wrapped):
        padded: torch.Tensor = _CircularPad.apply(value, wrapped)  # type: ignore[no-untyped-call]
        value = padded
    rest = (0 if x else left, 0 if x else right, 0 if y else top, 0 if y else bottom)
    return functional.pad(value, rest) if any(rest) else value


class _CircularPad(torch.autograd.Function):
    """`functional.pad(mode="circular")` with a backward of its own: training a network of these is a quarter faster on a CPU."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, value: torch.Tensor, pads: tuple[int, int, int, int]) -> torch.Tensor:
        """Copy the middle, then both sides, then top and bottom over the full width."""
        left, right, top, bottom = pads
        height, width = value.shape[-2:]
        if max(left, right) > width or max(top, bottom) > height:
            raise ValueError(f"cannot wrap {pads} around an image of {width} x {height}")
        ctx.pads = pads  # type: ignore[attr-defined]
        out = value.new_empty(*value.shape[:-2], height + top + bottom, width + left + right)
        rows = out[..., top : top + height, :]
        rows[..., left : left + width] = value
        rows[..., :left] = value[..., width - left :]
        rows[..., left + width :] = value[..., :right]
        out[..., :top, :] = rows[..., height - top :, :]
        out[..., top + height :, :] = rows[..., :bottom, :]
        return out

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Add what the copies received to where they came from."""
        left, right, top, bottom = ctx.pads  # type: ignore[attr-defined]
        height = gradient.shape[-2] - top - bottom
        width = gradient.shape[-1] - left - right
        rows = gradient[..., top : top + height, :].clone()
        rows[..., height - top :, :] += gradient[..., :top, :]
        rows[..., :bottom, :] += gradient[..., top + height :, :]
        result = rows[..., left : left + width].clone()
        result[..., width - left :] += rows[..., :left]
        result[..., :right] += rows[..., left + width :]
        return result, None


def _pads_by_hand(part: nn.Module) -> bool:
    """Whether this is a strided downsampler that pads its input outside its convolution."""
    own_padding = getattr(part, "use_conv", False) and getattr(part, "padding", None) == 0
    return bool(own_padding) and hasattr(part, "norm") and isinstance(getattr(part, "conv", None), nn.Conv2d)
