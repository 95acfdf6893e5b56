"""The family `stable-diffusion`: SD 1.x and 2.x. One CLIP encoder, one UNet, one autoencoder; eps, v or x0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from gesso.errors import ModelError
from gesso.model import Conditioning, Defaults, Limits, ModelCard, Parametrisation
from gesso.model.seamless import make_seamless
from gesso_plugins.diffusion.border import Border, parametrisation_of
from gesso_plugins.diffusion.family import CLIP_TOKENIZERS, LatentFamily, Layout, Traits, latent_of
from gesso_plugins.diffusion.model import LatentDiffusion
from gesso_plugins.diffusion.perturbing import layers_of

if TYPE_CHECKING:
    from gesso_plugins.diffusion.model import Ejects
    from gesso_plugins.diffusion.source import Source


class StableDiffusionFamily(LatentFamily):
    """SD 1.x and 2.x as diffusers directories."""

    name = "stable-diffusion"
    layout: ClassVar[Layout] = Layout(
        pipelines=frozenset({"StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"}),
        networks={
            "text_encoder": frozenset({("transformers", "CLIPTextModel")}),
            "unet": frozenset({("diffusers", "UNet2DConditionModel")}),
            "vae": frozenset({("diffusers", "AutoencoderKL")}),
        },
        vocabularies={"tokenizer": CLIP_TOKENIZERS},
    )

    def traits(self, source: Source) -> Traits:
        """Text-to-image models only."""
        unet = source.settings("unet")
        latent = latent_of(source, "unet", source.settings("vae"))
        if unet.get("in_channels") != latent.channels or unet.get("out_channels") != latent.channels:
            raise ModelError(
                f"The UNet in {source.path} has {unet.get('in_channels')} channels in and {unet.get('out_channels')} out, its autoencoder "
                f"{latent.channels}; inpainting, depth and instruction models are not run by this family.",
                hint="Use a text-to-image model.",
            )
        side = int(unet.get("sample_size") or 64) * latent.factor
        return Traits(
            parametrisation=parametrisation_of(source.settings("scheduler")),
            latent=latent,
            defaults=Defaults(width=side, height=side),
            limits=Limits(8 * latent.factor, max(2048, side), latent.factor),
            layers=layers_of(unet),
        )

    def build(self, card: ModelCard, source: Source, on: torch.device) -> LatentDiffusion:
        """The UNet in half precision on an accelerator, all else in float32."""
        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.clip import ClipText
        from gesso_plugins.diffusion.codec import Codec

        assert card.latent is not None
        assert card.parametrisation is not None
        full, half = loading.places(on)
        words = ClipText(loading.tokenizer("CLIPTokenizer", source, "tokenizer"), loading.clip_text(source, "text_encoder", full), on)
        denoiser = UNetDenoiser(loading.unet(source, half), card.parametrisation)
        return LatentDiffusion(card, words, denoiser, Codec(loading.autoencoder(source, full), card.latent.channels, on), on)


class UNetDenoiser:
    """A UNet that hears one sequence of text states."""

    def __init__(self, unet: Any, parametrisation: Parametrisation) -> None:
        self.network: nn.Module = unet
        self._unet = unet
        self._border = Border.of(parametrisation)
        self._dtype = next(unet.parameters()).dtype

    def x0(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """Rows x (B, C, h, w) at levels sigma (B,) -> x0 (B, C, h, w)."""
        words = cond.tokens.to(x.device, self._dtype)
        scaled = self._border.scaled(x, sigma).to(self._dtype)
        output = self._unet(scaled, self._border.timestep(sigma), encoder_hidden_states=words, return_dict=False)[0]
        return self._border.x0(x, sigma, output.to(torch.float32))

    def seamless(self, x: bool, y: bool) -> Ejects:
        """Circular padding of its convolutions."""
        return make_seamless(self.network, x, y)
