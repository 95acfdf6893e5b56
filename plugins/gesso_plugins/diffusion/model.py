"""A latent diffusion model as the engine sees it, joined from three borders: words, denoiser and codec. It knows no architecture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gesso.errors import InvalidRequest
from gesso.model import Autoencoder, Conditioning, Control, Embedding, Lora, ModelCard, Parametrisation, Patch, Perturbation, Seamless
from gesso_plugins.diffusion.codec import Codec, Ejects
from gesso_plugins.diffusion.lora import Layers, PutOn
from gesso_plugins.diffusion.perturbing import perturbed


class Words(Protocol):
    """The border between prompts and what the denoiser hears."""

    @property
    def networks(self) -> Sequence[nn.Module]:
        """The text encoders."""
        ...

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text, each computed alone, so that grouping changes no bit."""
        ...


@runtime_checkable
class HearsNegatives(Protocol):
    """Words that hear a negative prompt otherwise than a prompt."""

    def encode_negative(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text."""
        ...


@runtime_checkable
class Learns(Protocol):
    """Words that take learned vectors."""

    def learn(self, words: Mapping[str, Mapping[int, Tensor]]) -> None:
        """These words stand for vectors, by their width, from now on."""
        ...


class Denoiser(Protocol):
    """The border between a sampler's (x, sigma) and a network."""

    @property
    def network(self) -> nn.Module:
        """The denoising network."""
        ...

    def x0(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """Rows x (B, C, h, w) at levels sigma (B,), float32 on the device -> x0 in float32."""
        ...

    def seamless(self, x: bool, y: bool) -> Ejects:
        """Wrap around along these axes until it is taken back."""
        ...


@runtime_checkable
class Steerable(Protocol):
    """A denoiser that ControlNets may steer."""

    def controlled(self, controls: Sequence[Control]) -> contextlib.AbstractContextManager[None]:
        """Let them add to the forwards within."""
        ...


class LatentDiffusion:
    """Loaded weights. The denoiser in half precision on accelerators, the rest in float32; every input and reply is float32."""

    def __init__(self, card: ModelCard, words: Words, denoiser: Denoiser, codec: Codec, device: torch.device) -> None:
        assert card.parametrisation is not None
        assert card.latent is not None
        self.card = card
        self.parametrisation: Parametrisation = card.parametrisation
        self.words = words
        self._latent = card.latent
        self._denoiser = denoiser
        self._codec = self._own_codec = codec
        self._device = device
        self._patches: tuple[Patch, ...] = ()
        self._injected: list[Ejects] = []
        self.layers: Layers | None = None
        """What LoRAs may change, set by families that take them."""

    def components(self) -> dict[str, nn.Module]:
        """The networks that LoRAs may change; the denoiser is called ``unet`` whatever it is."""
        texts = {f"text_encoder_{n}" if n > 1 else "text_encoder": network for n, network in enumerate(self.words.networks, start=1)}
        return {"unet": self._denoiser.network, **texts}

    @property
    def nbytes(self) -> int:
        """Bytes of all weights."""
        networks = (*self.words.networks, self._denoiser.network, self._own_codec.network)
        return sum(p.numel() * p.element_size() for network in networks for p in network.parameters())

    @contextlib.contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        """Seamless padding, LoRAs and learned words. They stay in place until a call with other patches comes, so that the steps of one job
        change nothing.
        """
        wanted = tuple(patches)
        if wanted != self._patches:
            self._eject()
            self._inject(wanted)
        yield

    def _inject(self, patches: tuple[Patch, ...]) -> None:
        if sum(isinstance(patch, Seamless) for patch in patches) > 1:
            raise InvalidRequest(f"The model {self.card.name!r} takes seamless padding once.")
        loras = [(patch.weights, patch.weight) for patch in patches if isinstance(patch, Lora)]
        learned: dict[str, Mapping[int, Tensor]] = {}
        try:
            for patch in patches:
                if isinstance(patch, Autoencoder):
                    self._exchange(patch)
            for patch in patches:
                if isinstance(patch, Seamless):
                    self._injected.append(self._denoiser.seamless(patch.x, patch.y))
                    self._injected.append(self._codec.seamless(patch.x, patch.y))
                elif isinstance(patch, Autoencoder):
                    continue
                elif isinstance(patch, Embedding) and isinstance(self.words, Learns):
                    learned[patch.word] = patch.weights.by_width
                elif not isinstance(patch, Lora) or self.layers is None:
                    raise InvalidRequest(f"The model {self.card.name!r} cannot take {type(patch).__name__}.")
            if isinstance(self.words, Learns):
                self.words.learn(learned)
            if loras and self.layers is not None:
                self._injected.append(PutOn(self.layers, loras, self.card))
        except BaseException:
            self._eject()
            raise
        self._patches = patches

    def _exchange(self, patch: Autoencoder) -> None:
        network: Any = patch.weights.network
        same_kind = type(network) is type(self._own_codec.network)
        if not (same_kind and network.config.latent_channels == self._latent.channels):
            raise InvalidRequest(
                f"The autoencoder {patch.model.name!r} was made for another base: its latents are not those of {self.card.name!r}.",
                field="vae",
                hint="Leave it out, or use a model that it was made for.",
            )
        self._codec = self._own_codec.exchanged(network)

    def _eject(self) -> None:
        for injected in self._injected:
            injected.eject()
        self._injected, self._patches, self._codec = [], (), self._own_codec
        if isinstance(self.words, Learns):
            self.words.learn({})

    def encode_text(self, texts: Sequence[str]) -> list[Conditioning]:
        """What the text encoders make of each prompt."""
        return self.words.encode(texts)

    def encode_negative(self, texts: Sequence[str]) -> list[Conditioning]:
        """What the text encoders make of each negative prompt."""
        return self.words.encode_negative(texts) if isinstance(self.words, HearsNegatives) else self.words.encode(texts)

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(C, h, w)."""
        return self._latent.shape(width, height)

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """Rows x (B, C, h, w) at levels sigma (B,) -> x0 (B, C, h, w)."""
        return self._denoiser.x0(x.to(self._device, torch.float32), sigma.to(self._device, torch.float32), cond)

    def perturbed(self, perturbation: Perturbation) -> contextlib.AbstractContextManager[None]:
        """Some layers of the network without self-attention, or left out."""
        return perturbed(self._denoiser.network, perturbation)

    def controlled(self, controls: Sequence[Control]) -> contextlib.AbstractContextManager[None]:
        """Other networks add to the forwards within."""
        if not isinstance(self._denoiser, Steerable):
            raise InvalidRequest(f"The model {self.card.name!r} takes no controls.", field="control", hint="Choose another model.")
        return self._denoiser.controlled(controls)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W) in 0..1."""
        return self._codec.decode(latents)

    def encode_image(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> the mean of the latents' distribution."""
        return self._codec.encode(images)

    def preview_matrix(self) -> Tensor:
        """(C + 1, 3) of this model's own decoder."""
        return self._own_codec.preview_matrix()
