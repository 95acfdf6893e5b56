"""Runs the levels of an `AutoencoderKL` strip by strip where they do not fit into memory whole, with the same result within rounding.

A level is what stands between two changes of resolution. Its convolutions see some rows around each, so a strip is taken with so many rows
more; its group norms see the whole picture, so their mean and variance are gathered from all strips first, one norm after another. That
costs as many passes more as the level has norms, but nothing is blended: a strip's border is like any other place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

COPIES = 5
"""Maps as large as a level's widest that are held at once: `bench/residency.py` measures it."""
_LEAST = 8
"""Rows of a strip beside its margins, at least; an even number, since a level may halve it."""


@dataclass(frozen=True)
class Level:
    """Modules that run one after another. ``doubles``: they begin by doubling the sides of what comes in; ``halves``: they end so."""

    modules: tuple[nn.Module, ...]
    doubles: bool = False
    halves: bool = False

    @property
    def margin(self) -> int:
        """Rows of input, an even number, that a strip needs beside it: one for each convolution at the finer of its resolutions."""
        reach: int = sum(conv.kernel_size[0] // 2 for conv in self.parts(nn.Conv2d)) + 1
        rows = -(-reach // 2) if self.doubles else reach
        return rows + rows % 2

    def need(self, x: torch.Size, rows: int, number: int = 4) -> int:
        """Bytes that so many rows of an input of this shape take on their way through, in numbers of ``number`` bytes."""
        widest: int = max(max(conv.in_channels, conv.out_channels) for conv in self.parts(nn.Conv2d))
        return COPIES * widest * x[0] * rows * x[3] * (4 if self.doubles else 1) * number

    def after(self, x: torch.Size) -> torch.Size:
        """The shape that it makes of this one, but for the channels."""
        height, width = (side * (2 if self.doubles else 1) // (2 if self.halves else 1) for side in x[2:])
        return torch.Size((*x[:2], height, width))

    def run(self, x: Tensor) -> Tensor:
        """All of them in a row."""
        for module in self.modules:
            x = module(x, temb=None) if isinstance(module, ResnetBlock2D) else module(x)
        return x

    def parts(self, kind: type[Any]) -> Iterator[Any]:
        """Modules of a kind, in the order in which they run."""
        return (part for module in self.modules for part in module.modules() if isinstance(part, kind))


def decoder_levels(decoder: Any) -> list[Level]:
    """Those after the middle of a decoder; none where it is built otherwise than that of Stable Diffusion."""
    if any(type(block).__name__ != "UpDecoderBlock2D" for block in decoder.up_blocks) or type(decoder.conv_norm_out) is not nn.GroupNorm:
        return []
    levels: list[Level] = []
    begun: tuple[nn.Module, ...] = ()
    for block in decoder.up_blocks:
        begun = (*begun, *block.resnets)
        if block.upsamplers:
            levels.append(Level(begun, doubles=bool(levels)))
            begun = tuple(block.upsamplers)
    return [*levels, Level((*begun, decoder.conv_norm_out, decoder.conv_act, decoder.conv_out), doubles=bool(levels))]


def encoder_levels(encoder: Any) -> list[Level]:
    """Those before the middle of an encoder; none where it is built otherwise."""
    if any(type(block).__name__ != "DownEncoderBlock2D" for block in encoder.down_blocks):
        return []
    levels = [Level((*block.resnets, *(block.downsamplers or ())), halves=bool(block.downsamplers)) for block in encoder.down_blocks]
    return [replace(levels[0], modules=(encoder.conv_in, *levels[0].modules)), *levels[1:]]


def peak(levels: Sequence[Level], shape: torch.Size) -> int:
    """Bytes that the neediest level takes for an input of this shape."""
    most = 0
    for level in levels:
        most, shape = max(most, level.need(shape, shape[2])), level.after(shape)
    return most


def decoded(vae: Any, levels: Sequence[Level], latents: Tensor, workspace: int, wraps: bool) -> Tensor:
    """What `vae.decode` says."""
    if vae.post_quant_conv is not None:
        latents = vae.post_quant_conv(latents)
    return run_levels(levels, vae.decoder.mid_block(vae.decoder.conv_in(latents)), workspace, wraps)


def encoded(vae: Any, levels: Sequence[Level], images: Tensor, workspace: int, wraps: bool) -> Tensor:
    """The mean of what `vae.encode` says."""
    encoder = vae.encoder
    x = encoder.conv_norm_out(encoder.mid_block(run_levels(levels, images, workspace, wraps)))
    x = encoder.conv_out(encoder.conv_act(x))
    moments: Tensor = x if vae.quant_conv is None else vae.quant_conv(x)
    return moments.chunk(2, dim=1)[0]


def run_levels(levels: Sequence[Level], x: Tensor, workspace: int, wraps: bool) -> Tensor:
    """One level after another, each whole if ``workspace`` bytes are enough for it, else in strips. ``wraps``: the picture goes on from its
    last row with the first.
    """
    for level in levels:
        x = level.run(x) if level.need(x.shape, x.shape[2], x.element_size()) <= workspace else _in_strips(level, x, workspace, wraps)
    return x


@dataclass(frozen=True)
class _Strip:
    """Rows that come out of a level, from ``start`` to ``end`` of its input, with ``before`` and ``after`` rows of margin."""

    start: int
    end: int
    before: int
    after: int

    def cut(self, x: Tensor) -> Tensor:
        """With its margins, which wrap around."""
        rows = torch.arange(self.start - self.before, self.end + self.after, device=x.device) % x.shape[2]
        return x.index_select(2, rows)

    def core(self, made: Tensor) -> Tensor:
        """What was made of it at whatever resolution, without the margins."""
        given = self.before + self.end - self.start + self.after
        first, last = (edge * made.shape[2] // given for edge in (self.before, given - self.after))
        return made[:, :, first:last]


def _strips(level: Level, x: Tensor, workspace: int, wraps: bool) -> list[_Strip]:
    """As many rows in each as fit."""
    height, margin = x.shape[2], level.margin
    rows = workspace // level.need(x.shape, 1, x.element_size()) - 2 * margin
    rows = max(rows - rows % 2, _LEAST)
    if rows + 2 * margin >= height:
        return [_Strip(0, height, 0, 0)]
    found = []
    for start in range(0, height, rows):
        end = min(start + rows, height)
        found.append(_Strip(start, end, *((margin, margin) if wraps else (min(margin, start), min(margin, height - end)))))
    return found


def _in_strips(level: Level, x: Tensor, workspace: int, wraps: bool) -> Tensor:
    strips = _strips(level, x, workspace, wraps)
    if len(strips) == 1:
        return level.run(x)
    with contextlib.ExitStack() as hooks:
        for norm in level.parts(nn.GroupNorm):
            gathered: list[_Moments] = []
            with norm.register_forward_pre_hook(partial(_gather, gathered, strips)):
                for strip in strips:
                    with contextlib.suppress(_Gathered):
                        level.run(strip.cut(x))
            hooks.enter_context(norm.register_forward_hook(partial(_normalise, _together(gathered))))
        return torch.cat([strip.core(level.run(strip.cut(x))) for strip in strips], dim=2)


class _Gathered(Exception):
    """The norm of this pass was reached."""


@dataclass(frozen=True)
class _Moments:
    """Of each group (B, G), in double precision on the CPU, over ``count`` numbers."""

    count: int
    mean: Tensor
    variance: Tensor


def _gather(gathered: list[_Moments], strips: Sequence[_Strip], norm: nn.GroupNorm, inputs: tuple[Tensor]) -> None:
    seen = strips[len(gathered)].core(inputs[0])
    groups = seen.reshape(len(seen), norm.num_groups, -1)
    variance, mean = torch.var_mean(groups, dim=2, correction=0)
    gathered.append(_Moments(groups.shape[2], mean.cpu().double(), variance.cpu().double()))
    raise _Gathered


def _together(parts: Sequence[_Moments]) -> _Moments:
    """Of all strips (Chan et al. 1979)."""
    count = sum(part.count for part in parts)
    mean = sum((part.mean * part.count for part in parts), torch.zeros_like(parts[0].mean)) / count
    spread = sum(((part.variance + (part.mean - mean) ** 2) * part.count for part in parts), torch.zeros_like(mean))
    return _Moments(count, mean, spread / count)


def _normalise(moments: _Moments, norm: nn.GroupNorm, inputs: tuple[Tensor], made: Tensor) -> Tensor:  # noqa: ARG001  (as torch calls hooks)
    """What the norm would have said, had it seen the whole picture."""
    (x,) = inputs
    each = norm.num_channels // norm.num_groups
    scale = (moments.variance + norm.eps).rsqrt().repeat_interleave(each, dim=1) * norm.weight.cpu().double()
    shift = norm.bias.cpu().double() - moments.mean.repeat_interleave(each, dim=1) * scale
    return torch.addcmul(shift.to(x)[:, :, None, None], x, scale.to(x)[:, :, None, None])
