"""The family `stable-diffusion`: SD 1.x and 2.x, their inpainting and distilled forms. One CLIP encoder, one UNet, one autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from gesso_plugins.diffusion.family import CLIP_TOKENIZERS, LatentFamily, Layout, Traits

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gesso.model import ModelCard
    from gesso_plugins.diffusion.model import LatentDiffusion
    from gesso_plugins.diffusion.source import Source


class StableDiffusionFamily(LatentFamily):
    """SD 1.x and 2.x; eps, v or x0."""

    name = "stable-diffusion"
    layout: ClassVar[Layout] = Layout(
        pipelines=frozenset(
            {
                "StableDiffusionPipeline",
                "StableDiffusionImg2ImgPipeline",
                "StableDiffusionInpaintPipeline",
                "LatentConsistencyModelPipeline",
                "LatentConsistencyModelImg2ImgPipeline",
            }
        ),
        networks={
            "text_encoder": frozenset({("transformers", "CLIPTextModel")}),
            "unet": frozenset({("diffusers", "UNet2DConditionModel")}),
            "vae": frozenset({("diffusers", "AutoencoderKL")}),
        },
        vocabularies={"tokenizer": CLIP_TOKENIZERS},
    )

    def single_file(self, path: Path) -> Source:
        """In the original layout."""
        from gesso_plugins.diffusion.single_file import SingleFile

        return SingleFile(path).of(self.name)

    def traits(self, source: Source) -> Traits:
        """From the settings of the UNet, the autoencoder and the scheduler."""
        from gesso_plugins.diffusion.unet import unet_traits

        return unet_traits(source)

    def build(self, card: ModelCard, source: Source, on: torch.device) -> LatentDiffusion:
        """The UNet in half precision on an accelerator, all else in float32."""
        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.clip import ClipText
        from gesso_plugins.diffusion.codec import Codec
        from gesso_plugins.diffusion.model import LatentDiffusion
        from gesso_plugins.diffusion.unet import UNetDenoiser

        assert card.latent is not None
        assert card.parametrisation is not None
        full, half = loading.places(on)
        words = ClipText(loading.tokenizer("CLIPTokenizer", source, "tokenizer"), loading.clip_text(source, "text_encoder", full), on)
        denoiser = UNetDenoiser(loading.unet(source, half), card.parametrisation, card.latent)
        return LatentDiffusion(card, words, denoiser, Codec(loading.autoencoder(source, full), card.latent.channels, on), on)

    def original_names(self, denoiser: nn.Module) -> Mapping[str, str]:
        """Those of the original layout."""
        from gesso_plugins.diffusion.lora import original_aliases

        return original_aliases(denoiser)
