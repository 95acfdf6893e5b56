"""Stable Diffusion as a Gesso model: text encoder, UNet and autoencoder, each answering its capability. No pipeline, no scheduler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gesso.errors import InvalidRequest
from gesso.media import preview
from gesso.model import Conditioning, ModelCard, Parametrisation, Patch, Perturbation, Seamless
from gesso.model.seamless import Seamless as Padding
from gesso.model.seamless import make_seamless
from gesso_plugins.diffusion.border import Border
from gesso_plugins.diffusion.clip import ClipText
from gesso_plugins.diffusion.perturbing import perturbed


@dataclass(frozen=True)
class Parts:
    """The loaded networks of a pipeline directory, on their device."""

    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any


class StableDiffusionModel:
    """Loaded weights. UNet in half precision on accelerators, the rest in float32; every input and reply is float32."""

    def __init__(self, card: ModelCard, parts: Parts, device: torch.device) -> None:
        assert card.parametrisation is not None
        assert card.latent is not None
        self.card = card
        self.parametrisation: Parametrisation = card.parametrisation
        self._latent = card.latent
        self._parts = parts
        self._text = ClipText(parts.tokenizer, parts.text_encoder, device)
        self._border = Border.of(card.parametrisation)
        self._device = device
        self._dtype = next(parts.unet.parameters()).dtype
        self._scale = float(parts.vae.config.scaling_factor)
        self._shift = float(parts.vae.config.shift_factor or 0.0)
        self._patches: tuple[Patch, ...] = ()
        self._paddings: list[Padding] = []
        self._matrix: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all weights."""
        networks: tuple[nn.Module, ...] = (self._parts.text_encoder, self._parts.unet, self._parts.vae)
        return sum(p.numel() * p.element_size() for network in networks for p in network.parameters())

    @contextlib.contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        """Seamless padding. It stays in place until a call with other patches comes, so that the steps of one job change nothing."""
        wanted = tuple(patches)
        if wanted != self._patches:
            self._eject()
            self._inject(wanted)
        yield

    def _inject(self, patches: tuple[Patch, ...]) -> None:
        if len(patches) > 1:
            raise InvalidRequest(f"The model {self.card.name!r} takes seamless padding once, and nothing beside it.")
        for patch in patches:
            if not isinstance(patch, Seamless):
                raise InvalidRequest(f"The model {self.card.name!r} cannot take {type(patch).__name__}.")
            self._paddings = [make_seamless(network, patch.x, patch.y) for network in (self._parts.unet, self._parts.vae)]
        self._patches = patches

    def _eject(self) -> None:
        for padding in self._paddings:
            padding.eject()
        self._paddings, self._patches = [], ()

    def encode_text(self, texts: Sequence[str]) -> list[Conditioning]:
        """CLIP's last hidden states, (1, 77 * chunks, D)."""
        return self._text.encode(texts)

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(C, h, w)."""
        return self._latent.shape(width, height)

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """Rows x (B, C, h, w) at levels sigma (B,) -> x0 (B, C, h, w)."""
        x, sigma = x.to(self._device, torch.float32), sigma.to(self._device, torch.float32)
        words = cond.tokens.to(self._device, self._dtype)
        scaled = self._border.scaled(x, sigma).to(self._dtype)
        output = self._parts.unet(scaled, self._border.timestep(sigma), encoder_hidden_states=words, return_dict=False)[0]
        return self._border.x0(x, sigma, output.to(torch.float32))

    def perturbed(self, perturbation: Perturbation) -> contextlib.AbstractContextManager[None]:
        """Some transformers of the UNet without self-attention, or left out."""
        return perturbed(self._parts.unet, perturbation)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W) in 0..1."""
        latents = latents.to(self._device, torch.float32) / self._scale + self._shift
        image: Tensor = self._parts.vae.decode(latents, return_dict=False)[0]
        return (image / 2 + 0.5).clamp(0.0, 1.0)

    def encode_image(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> the mean of the latents' distribution."""
        images = images.to(self._device, torch.float32) * 2 - 1
        mean: Tensor = self._parts.vae.encode(images, return_dict=False)[0].mode()
        return (mean - self._shift) * self._scale

    def preview_matrix(self) -> Tensor:
        """(C + 1, 3), fitted once against this model's own decoder on random latents with structure at several scales."""
        if self._matrix is None:
            latents = _varied(self._latent.channels).to(self._device)
            with torch.no_grad():
                self._matrix = preview.fit(latents, self.decode(latents))
        return self._matrix


def _varied(channels: int, side: int = 16) -> Tensor:
    """Two latents of about unit variance: half coarse patches, half finer ones."""
    generator = torch.Generator("cpu").manual_seed(0)
    coarse, fine = (torch.randn(2, channels, n, n, generator=generator) for n in (side // 4, side // 2))
    grown = [nn.functional.interpolate(part, size=(side, side), mode="nearest") for part in (coarse, fine)]
    return (grown[0] + grown[1]) * 2**-0.5
