"""The border between pictures and latents: an autoencoder, its scale and shift, and the matrix that previews are made with."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gesso.media import preview
from gesso.model.seamless import make_seamless


class Ejects(Protocol):
    """A change to a network that can be taken back without a trace."""

    def eject(self) -> None:
        """Take it back."""
        ...


class Codec:
    """An `AutoencoderKL` in float32. ``channels``: those of its latents."""

    def __init__(self, vae: Any, channels: int, device: torch.device, scale: float | None = None) -> None:
        self.network: nn.Module = vae
        self._vae = vae
        self._channels = channels
        self._device = device
        self._scale = float(vae.config.scaling_factor) if scale is None else scale
        self._shift = float(getattr(vae.config, "shift_factor", None) or 0.0)
        self._matrix: Tensor | None = None

    def exchanged(self, vae: Any) -> Codec:
        """Another autoencoder for the same latents."""
        return Codec(vae, self._channels, self._device, self._scale)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W) in 0..1."""
        latents = latents.to(self._device, torch.float32) / self._scale + self._shift
        image: Tensor = self._vae.decode(latents, return_dict=False)[0]
        return (image / 2 + 0.5).clamp(0.0, 1.0)

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> the mean of the latents' distribution."""
        images = images.to(self._device, torch.float32) * 2 - 1
        mean: Tensor = self._vae.encode(images, return_dict=False)[0].mode()
        return (mean - self._shift) * self._scale

    def seamless(self, x: bool, y: bool) -> Ejects:
        """Wrap around along these axes until it is taken back: circular padding of the convolutions."""
        return make_seamless(self.network, x, y)

    def preview_matrix(self) -> Tensor:
        """(C + 1, 3), fitted once against the decoder on random latents with structure at several scales."""
        if self._matrix is None:
            latents = _varied(self._channels).to(self._device)
            with torch.no_grad():
                self._matrix = preview.fit(latents, self.decode(latents))
        return self._matrix


_AROUND = 8
"""Places of the latent that are added on each side where a codec wraps that cannot be padded inside: more than its convolutions see."""


class FrameCodec(Codec):
    """An `AutoencoderKLQwenImage`: a codec of films, used for one frame, with a mean and a deviation for each channel."""

    def __init__(self, vae: Any, channels: int, device: torch.device) -> None:
        super().__init__(vae, channels, device, scale=1.0)
        self._mean = torch.tensor(vae.config.latents_mean, device=device).view(1, -1, 1, 1)
        self._deviation = torch.tensor(vae.config.latents_std, device=device).view(1, -1, 1, 1)
        self._factor = 2 ** len(vae.config.temperal_downsample)
        self._wrapped = (False, False)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W) in 0..1."""
        latents = self._around(latents.to(self._device, torch.float32), _AROUND) * self._deviation + self._mean
        image = self._vae.decode(latents.unsqueeze(2), return_dict=False)[0][:, :, 0]
        return self._within((image / 2 + 0.5).clamp(0.0, 1.0), _AROUND * self._factor)

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> the mean of the latents' distribution."""
        images = self._around(images.to(self._device, torch.float32) * 2 - 1, _AROUND * self._factor)
        mean = self._vae.encode(images.unsqueeze(2), return_dict=False)[0].mode()[:, :, 0]
        return self._within((mean - self._mean) / self._deviation, _AROUND)

    def seamless(self, x: bool, y: bool) -> FrameCodec:
        """Continue the picture around itself before each pass, and cut that off afterwards."""
        self._wrapped = (x, y)
        return self

    def eject(self) -> None:
        """Continue it no more."""
        self._wrapped = (False, False)

    def _around(self, planes: Tensor, places: int) -> Tensor:
        for axis, wraps in zip((3, 2), self._wrapped, strict=True):
            if wraps:
                index = torch.arange(-places, planes.shape[axis] + places, device=planes.device) % planes.shape[axis]
                planes = planes.index_select(axis, index)
        return planes

    def _within(self, planes: Tensor, places: int) -> Tensor:
        for axis, wraps in zip((3, 2), self._wrapped, strict=True):
            if wraps:
                planes = planes.narrow(axis, places, planes.shape[axis] - 2 * places)
        return planes


def _varied(channels: int, side: int = 16) -> Tensor:
    """Two latents of about unit variance: half coarse patches, half finer ones."""
    generator = torch.Generator("cpu").manual_seed(0)
    coarse, fine = (torch.randn(2, channels, n, n, generator=generator) for n in (side // 4, side // 2))
    grown = [nn.functional.interpolate(part, size=(side, side), mode="nearest") for part in (coarse, fine)]
    return (grown[0] + grown[1]) * 2**-0.5
