"""The parts of an unCLIP as the engine asks for them: x at a noise level in, x0 out. Each is a network of diffusers behind its border; who
samples with it, and how, is not known here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gesso.model import Conditioning, Part, Seamless
from gesso.model.border import Border
from gesso.model.seamless import make_seamless, pad_axes

REACH = 8
"""Pixels of the small picture that its enlargement sees around a place, and more: so many are wrapped around where the picture does."""


class Prior:
    """Words to the embedding of a picture, standardised: x is what is left of it less the mean of all, by their deviation."""

    def __init__(self, network: Any, part: Part) -> None:
        self.network = network
        self._border = Border(part.parametrisation)
        self._dtype = network.dtype

    def x0(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """X (B, D, 1, 1)."""
        assert cond.pooled is not None
        level = self._border.at(sigma)
        output = self.network(
            (x * level.scale).flatten(1).to(self._dtype),
            timestep=level.timestep,
            proj_embedding=cond.pooled.to(self._dtype),
            encoder_hidden_states=cond.tokens.to(self._dtype),
            attention_mask=cond.extras["mask"],
        ).predicted_image_embedding
        return level.x0(x, output.to(torch.float32)[:, :, None, None])

    def embedding(self, x: Tensor) -> Tensor:
        """(B, D, 1, 1) as it was sampled -> (B, D) as an image encoder would give it."""
        found: Tensor = self.network.post_process_latents(x.flatten(1).to(self._dtype))
        return found.to(torch.float32)


class Decoder:
    """An embedding, and words beside it, to a small picture (Ramesh et al. 2022, section 2.1): the embedding is added to that of the time,
    and stands as further tokens before those of the words. An unheard one is a learned vector.
    """

    def __init__(self, network: Any, projection: Any, part: Part) -> None:
        self.network, self.projection = network, projection
        self._border = Border(part.parametrisation)
        self._spread = part.spread
        self._dtype = network.dtype

    def x0(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """X (B, C, h, w), or (B, 2 C, h, w) where the spread is answered too."""
        assert cond.pooled is not None
        heard, mask = cond.extras["heard"], cond.extras["mask"]
        unheard = self.projection.learned_classifier_free_guidance_embeddings[None]
        states, added = self.projection(
            image_embeddings=torch.where(heard > 0, cond.extras["embedding"].to(self._dtype), unheard),
            prompt_embeds=cond.pooled.to(self._dtype),
            text_encoder_hidden_states=cond.tokens.to(self._dtype),
            do_classifier_free_guidance=False,
        )
        noisy = x[:, : x.shape[1] // 2] if self._spread else x
        level = self._border.at(sigma)
        output = self.network(
            sample=(noisy * level.scale).to(self._dtype),
            timestep=level.timestep,
            encoder_hidden_states=states,
            class_labels=added,
            attention_mask=functional.pad(mask, (states.shape[1] - mask.shape[1], 0), value=True),
        ).sample
        return answered(level.x0, noisy, output.to(torch.float32), spread=self._spread)


class Upsampler:
    """A small picture to a large one. The last of its steps has a network of its own, which sharpens."""

    def __init__(self, first: Any, last: Any, part: Part) -> None:
        self.first, self.last = first, last
        self._border = Border(part.parametrisation)
        self._spread = part.spread
        self._dtype = first.dtype
        self.wraps = (False, False)

    def x0(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """X (B, C, H, W), or (B, 2 C, H, W) where the spread is answered too."""
        noisy = x[:, : x.shape[1] // 2] if self._spread else x
        level = self._border.at(sigma)
        small = enlarged(cond.extras["small"], (int(x.shape[-2]), int(x.shape[-1])), self.wraps)
        sample = torch.cat([noisy * level.scale, small], 1).to(self._dtype)
        final = (level.timestep == 0)[:, None, None, None]
        if bool(final.all()):
            output = self.last(sample, level.timestep).sample
        elif not bool(final.any()):
            output = self.first(sample, level.timestep).sample
        else:
            output = torch.where(final, self.last(sample, level.timestep).sample, self.first(sample, level.timestep).sample)
        return answered(level.x0, noisy, output.to(torch.float32), spread=self._spread)


def answered(x0: Any, noisy: Tensor, output: Tensor, *, spread: bool) -> Tensor:
    """x0 of a network's output, and where it answers that, its spread from -1..1 to 0..1 beside it."""
    if not spread:
        found: Tensor = x0(noisy, output)
        return found
    said, share = output.chunk(2, 1)
    return torch.cat([x0(noisy, said), (share + 1) / 2], 1)


def enlarged(small: Tensor, size: tuple[int, int], wraps: tuple[bool, bool] = (False, False)) -> Tensor:
    """(B, C, h, w) to (B, C, *size), bicubic; across the border along x and y where it ``wraps``."""
    height, width = small.shape[-2:]
    if not any(wraps):
        return functional.interpolate(small, size=size, mode="bicubic", align_corners=False, antialias=True)
    across, down = (min(REACH, side) if wrap else 0 for wrap, side in zip(wraps, (width, height), strict=True))
    around = pad_axes(small, (across, across, down, down), *wraps)
    times = size[0] // height, size[1] // width
    grown = functional.interpolate(
        around,
        size=(around.shape[-2] * times[0], around.shape[-1] * times[1]),
        mode="bicubic",
        align_corners=False,
        antialias=True,
    )
    return grown[..., down * times[0] : down * times[0] + size[0], across * times[1] : across * times[1] + size[1]]


class Wrapped:
    """Decoder and upsampler with circular padding along some axes, until it is taken back."""

    def __init__(self, networks: list[Any], upsampler: Upsampler | None, axes: Seamless) -> None:
        self._upsampler = upsampler
        self._paddings = [make_seamless(network, axes.x, axes.y) for network in networks]
        if upsampler is not None:
            upsampler.wraps = (axes.x, axes.y)

    def eject(self) -> None:
        """Take it back."""
        if self._upsampler is not None:
            self._upsampler.wraps = (False, False)
        for padding in self._paddings:
            padding.eject()
