"""The border between pictures and latents: an autoencoder, its scale and shift, and the matrix that previews are made with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gesso.media import preview


class Codec:
    """An `AutoencoderKL` in float32. ``channels``: those of its latents."""

    def __init__(self, vae: Any, channels: int, device: torch.device) -> None:
        self.network: nn.Module = vae
        self._vae = vae
        self._channels = channels
        self._device = device
        self._scale = float(vae.config.scaling_factor)
        self._shift = float(getattr(vae.config, "shift_factor", None) or 0.0)
        self._matrix: Tensor | None = None

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

    def preview_matrix(self) -> Tensor:
        """(C + 1, 3), fitted once against the decoder on random latents with structure at several scales."""
        if self._matrix is None:
            latents = _varied(self._channels).to(self._device)
            with torch.no_grad():
                self._matrix = preview.fit(latents, self.decode(latents))
        return self._matrix


def _varied(channels: int, side: int = 16) -> Tensor:
    """Two latents of about unit variance: half coarse patches, half finer ones."""
    generator = torch.Generator("cpu").manual_seed(0)
    coarse, fine = (torch.randn(2, channels, n, n, generator=generator) for n in (side // 4, side // 2))
    grown = [nn.functional.interpolate(part, size=(side, side), mode="nearest") for part in (coarse, fine)]
    return (grown[0] + grown[1]) * 2**-0.5
