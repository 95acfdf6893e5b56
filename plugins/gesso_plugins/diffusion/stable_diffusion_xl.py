"""The family `stable-diffusion-xl`: SDXL base, refiner, Turbo and other distilled forms. Two CLIP encoders, or the second alone."""

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


class StableDiffusionXLFamily(LatentFamily):
    """SDXL (Podell et al. 2023, arXiv 2307.01952)."""

    name = "stable-diffusion-xl"
    layout: ClassVar[Layout] = Layout(
        pipelines=frozenset({"StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline"}),
        networks={
            "text_encoder": frozenset({("transformers", "CLIPTextModel")}),
            "text_encoder_2": frozenset({("transformers", "CLIPTextModelWithProjection")}),
            "unet": frozenset({("diffusers", "UNet2DConditionModel")}),
            "vae": frozenset({("diffusers", "AutoencoderKL")}),
        },
        vocabularies={"tokenizer": CLIP_TOKENIZERS, "tokenizer_2": CLIP_TOKENIZERS},
        optional=frozenset({"text_encoder", "tokenizer"}),
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
        """The UNet in half precision on an accelerator, all else in float32: the autoencoder of SDXL overflows in half precision."""
        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.clip import ClipText, ManyWords
        from gesso_plugins.diffusion.codec import Codec
        from gesso_plugins.diffusion.model import LatentDiffusion
        from gesso_plugins.diffusion.unet import UNetDenoiser

        assert card.latent is not None
        assert card.parametrisation is not None
        full, half = loading.places(on)
        encoders = []
        if source.has("text_encoder"):
            first = loading.clip_text(source, "text_encoder", full)
            encoders.append(ClipText(loading.tokenizer("CLIPTokenizer", source, "tokenizer"), first, on, layer=-2))
        second = loading.clip_text(source, "text_encoder_2", full, projected=True)
        encoders.append(ClipText(loading.tokenizer("CLIPTokenizer", source, "tokenizer_2"), second, on, layer=-2))
        words = ManyWords(encoders, zeros=bool(source.index.get("force_zeros_for_empty_prompt", True)), scored=_is_scored(source))
        denoiser = UNetDenoiser(loading.unet(source, half), card.parametrisation, card.latent)
        return LatentDiffusion(card, words, denoiser, Codec(loading.autoencoder(source, full), card.latent.channels, on), on)

    def original_names(self, denoiser: nn.Module) -> Mapping[str, str]:
        """Those of the original layout."""
        from gesso_plugins.diffusion.lora import original_aliases

        return original_aliases(denoiser)


def _is_scored(source: Source) -> bool:
    """Whether the UNet takes five numbers of micro-conditioning, as the refiner does, and not six."""
    unet, second = source.settings("unet"), source.settings("text_encoder_2")
    width = int(unet.get("projection_class_embeddings_input_dim") or 0) - int(second.get("projection_dim") or 0)
    return width == 5 * int(unet.get("addition_time_embed_dim") or 0)
