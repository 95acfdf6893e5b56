"""The border between pictures and latents: an autoencoder, its scale and shift, and the matrix that previews are made with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gesso.media import preview
from gesso.model import Thrift
from gesso.model.seamless import make_seamless
from gesso_plugins.diffusion import strips
from gesso_plugins.diffusion.holding import run_as_wished


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
        self._workspace = 0
        self._wraps_down = False

    def hold(self, thrift: Thrift) -> None:
        """Take no more memory than this on the way, and run as the owner wishes."""
        self._workspace = thrift.workspace
        run_as_wished((self._vae.encoder, self._vae.decoder), thrift)

    def exchanged(self, vae: Any) -> Codec | None:
        """Another autoencoder for the same latents; None if this one's are others."""
        if vae.config.latent_channels != self._channels or _factor(vae) != _factor(self._vae):
            return None
        if type(vae).__name__ == "AutoencoderTiny":
            return TinyCodec(vae, self._channels, self._device)
        other = Codec(vae, self._channels, self._device, self._scale)
        other._workspace = self._workspace
        return other

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W) in 0..1."""
        latents = self._coded(latents.to(self._device, torch.float32))
        if self._is_large(levels := strips.decoder_levels(self._vae.decoder), latents):
            return self._shown(strips.decoded(self._vae, levels, latents, self._workspace, self._wraps_down))
        return self._shown(self._vae.decode(latents, return_dict=False)[0])

    def _shown(self, image: Tensor) -> Tensor:
        return (image / 2 + 0.5).clamp(0.0, 1.0)

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> the mean of the latents' distribution."""
        images = images.to(self._device, torch.float32) * 2 - 1
        if self._is_large(levels := strips.encoder_levels(self._vae.encoder), images):
            mean = strips.encoded(self._vae, levels, images, self._workspace, self._wraps_down)
        else:
            mean = self._vae.encode(images, return_dict=False)[0].mode()
        return self._latents(mean)

    def _coded(self, latents: Tensor) -> Tensor:
        """As the autoencoder has them, of those that the denoiser has."""
        return latents / self._scale + self._shift

    def _latents(self, coded: Tensor) -> Tensor:
        """The inverse."""
        return (coded - self._shift) * self._scale

    def _is_large(self, levels: Sequence[strips.Level], x: Tensor) -> bool:
        """Whether it takes more than it may. What a gradient leads back through is held whole in any case."""
        return bool(self._workspace) and not torch.is_grad_enabled() and strips.peak(levels, x.shape) > self._workspace

    def seamless(self, x: bool, y: bool) -> Ejects:
        """Wrap around along these axes until it is taken back: circular padding of the convolutions."""
        return _Padded(self, x, y)

    def wrap_down(self, wraps: bool) -> None:
        """Remember whether the picture goes on from its last row with the first."""
        self._wraps_down = wraps

    def preview_matrix(self) -> Tensor:
        """(C + 1, 3), fitted once against the decoder on random latents with structure at several scales."""
        if self._matrix is None:
            latents = _varied(self._channels).to(self._device)
            with torch.no_grad():
                self._matrix = preview.fit(latents, self.decode(latents))
        return self._matrix


class _Padded:
    """A codec with circular padding, until it is taken back."""

    def __init__(self, codec: Codec, x: bool, y: bool) -> None:
        self._codec = codec
        self._padding = make_seamless(codec.network, x, y)
        codec.wrap_down(y)

    def eject(self) -> None:
        """Take it back."""
        self._codec.wrap_down(False)
        self._padding.eject()


class TinyCodec(Codec):
    """An `AutoencoderTiny` (TAESD): trained on latents that are scaled already, and certain of them."""

    def __init__(self, vae: Any, channels: int, device: torch.device) -> None:
        super().__init__(vae, channels, device)
        if device.type == "cpu":  # its narrow convolutions take half of the time so; wider ones gain nothing
            vae.to(memory_format=torch.channels_last)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W) in 0..1."""
        latents = self._coded(latents.to(self._device, torch.float32))
        return self._shown(self._vae.decode(latents, return_dict=False)[0])

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> latents."""
        images = images.to(self._device, torch.float32) * 2 - 1
        return self._latents(self._vae.encode(images, return_dict=False)[0])


class PatchCodec(Codec):
    """An `AutoencoderKLFlux2`: four of its places make one of the denoiser's, each of whose channels has a mean and a deviation."""

    def __init__(self, vae: Any, channels: int, device: torch.device) -> None:
        super().__init__(vae, channels, device, scale=1.0)

    def exchanged(self, vae: Any) -> None:
        """None: nothing else has such latents."""

    def _statistics(self) -> tuple[Tensor, Tensor]:
        deviation = (self._vae.bn.running_var + self._vae.config.batch_norm_eps).sqrt()
        return self._vae.bn.running_mean.view(1, -1, 1, 1), deviation.view(1, -1, 1, 1)

    def _coded(self, latents: Tensor) -> Tensor:
        mean, deviation = self._statistics()
        return nn.functional.pixel_shuffle(latents * deviation + mean, 2)

    def _latents(self, coded: Tensor) -> Tensor:
        mean, deviation = self._statistics()
        return (nn.functional.pixel_unshuffle(coded, 2) - mean) / deviation


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

    def hold(self, thrift: Thrift) -> None:
        """It has one way only."""

    def exchanged(self, vae: Any) -> None:
        """None: nothing else has latents with a mean and a deviation for each channel."""

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W) in 0..1."""
        latents = self._around(latents.to(self._device, torch.float32), _AROUND) * self._deviation + self._mean
        image = self._vae.decode(latents.unsqueeze(2), return_dict=False)[0][:, :, 0]
        return self._within(self._shown(image), _AROUND * self._factor)

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


def _factor(vae: Any) -> int:
    """Pixels a side to one place of the latent."""
    levels = getattr(vae.config, "block_out_channels", None) or vae.config.decoder_block_out_channels
    return int(2 ** (len(levels) - 1))


def _varied(channels: int, side: int = 16) -> Tensor:
    """Two latents of about unit variance: half coarse patches, half finer ones."""
    generator = torch.Generator("cpu").manual_seed(0)
    coarse, fine = (torch.randn(2, channels, n, n, generator=generator) for n in (side // 4, side // 2))
    grown = [nn.functional.interpolate(part, size=(side, side), mode="nearest") for part in (coarse, fine)]
    return (grown[0] + grown[1]) * 2**-0.5
