"""The family `pixart`: PixArt-alpha and PixArt-sigma. T5's states, and a transformer that predicts the noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gesso.model import Conditioning, Defaults, Limits, ModelCard
from gesso.model.border import Border, parametrisation_of
from gesso_plugins.diffusion.family import AUTOENCODER, T5_ENCODER, T5_TOKENIZERS, LatentFamily, Layout, Traits, latent_of
from gesso_plugins.diffusion.model import LatentDiffusion
from gesso_plugins.diffusion.patches import PatchDenoiser

if TYPE_CHECKING:
    from gesso_plugins.diffusion.language import T5Text
    from gesso_plugins.diffusion.source import Source

_LENGTHS = {"PixArtAlphaPipeline": 120, "PixArtSigmaPipeline": 300}
"""How many tokens each was trained to hear."""


class PixArtFamily(LatentFamily):
    """PixArt-alpha (Chen et al. 2023, arXiv 2310.00426) and -sigma (arXiv 2403.04692)."""

    name = "pixart"
    layout: ClassVar[Layout] = Layout(
        pipelines=frozenset(_LENGTHS),
        networks={
            "text_encoder": T5_ENCODER,
            "transformer": frozenset({("diffusers", "PixArtTransformer2DModel"), ("diffusers", "Transformer2DModel")}),
            "vae": AUTOENCODER,
        },
        vocabularies={"tokenizer": T5_TOKENIZERS},
    )

    def traits(self, source: Source) -> Traits:
        """The size is the one it was trained for."""
        transformer = source.settings("transformer")
        latent = latent_of(source, "transformer", source.settings("vae"))
        token = int(transformer.get("patch_size", 2)) * latent.factor
        side = int(transformer.get("sample_size") or 128) * latent.factor
        return Traits(
            parametrisation=parametrisation_of(source.settings("scheduler")),
            latent=latent,
            defaults=Defaults(guidance=4.5, width=side, height=side),
            limits=Limits(token, max(2048, side), token),
            base="pixart",
        )

    def build(self, card: ModelCard, source: Source, on: torch.device) -> LatentDiffusion:
        """The autoencoder in full precision, T5 and the transformer in half on an accelerator."""
        from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel

        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.codec import Codec
        from gesso_plugins.diffusion.language import T5Text

        assert card.latent is not None
        assert card.parametrisation is not None
        full, half = loading.Place(on, torch.float32), loading.wide_half(on)
        t5 = T5Text(
            loading.tokenizer("T5Tokenizer", source, "tokenizer"),
            loading.t5_encoder(source, "text_encoder", half),
            on,
            _LENGTHS[str(source.index["_class_name"])],
            masked=True,
        )
        transformer = loading.diffusers_network(PixArtTransformer2DModel, source, "transformer", half)
        denoiser = PixArtDenoiser(transformer, Border(card.parametrisation), card.latent.factor)
        return LatentDiffusion(card, PixArtWords(t5), denoiser, Codec(loading.autoencoder(source, full), card.latent.channels, on), on)


class PixArtWords:
    """T5's states of the prompt in small letters, and which of them are words."""

    def __init__(self, t5: T5Text) -> None:
        self._t5 = t5
        self.networks = t5.networks

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text."""
        return [self._encode(text.lower().strip()) for text in texts]

    def _encode(self, text: str) -> Conditioning:
        states, words = self._t5.hear(text)
        return Conditioning(states, extras={"mask": (torch.arange(states.shape[1]) < words).float()[None]})


class PixArtDenoiser(PatchDenoiser):
    """`PixArtTransformer2DModel`; the half of its channels that tells a variance is not heard."""

    def __init__(self, network: Any, border: Border, factor: int) -> None:
        super().__init__(network, int(network.config.patch_size))
        self._border = border
        self._factor = factor
        self._told_size = bool(network.use_additional_conditions)

    def predict(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """The alpha model of 1024 pixels is told the picture's size and shape."""
        rows, channels, height, width = x.shape
        size: dict[str, Tensor | None] = {"resolution": None, "aspect_ratio": None}
        if self._told_size:
            pixels = torch.tensor([[height * self._factor, width * self._factor]], device=x.device, dtype=self.dtype)
            size = {"resolution": pixels.expand(rows, 2), "aspect_ratio": (pixels[:, :1] / pixels[:, 1:]).expand(rows, 1)}
        level = self._border.at(sigma)
        output = self.network(
            (x * level.scale).to(self.dtype),
            encoder_hidden_states=cond.tokens.to(x.device, self.dtype),
            encoder_attention_mask=cond.extras["mask"].to(x.device),
            timestep=level.timestep,
            added_cond_kwargs=size,
            return_dict=False,
        )[0]
        return level.x0(x, output[:, :channels].to(torch.float32))
