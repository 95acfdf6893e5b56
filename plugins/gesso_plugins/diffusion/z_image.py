"""The family `z-image`: a single stream of words and patches, told the prompt by Qwen 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gesso.model import Conditioning, Defaults, Limits, ModelCard
from gesso_plugins.diffusion.family import AUTOENCODER, QWEN_TOKENIZERS, LatentFamily, Layout, Traits, latent_of
from gesso_plugins.diffusion.flow import FlowDenoiser, flow_of
from gesso_plugins.diffusion.model import LatentDiffusion

if TYPE_CHECKING:
    from gesso_plugins.diffusion.language import ChatText
    from gesso_plugins.diffusion.source import Source

PATCH = 2
_SIDE = 1024
_TEMPLATE = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
"""What Qwen 3's chat template makes of one message with thinking left on. The template in the files is a program and is not run."""
_TURBO_SHIFT = 3.0
"""The schedule that Z-Image-Turbo is published with; it tells the distilled model from the base model, whose networks are the same."""


class ZImageFamily(LatentFamily):
    """Z-Image and Z-Image-Turbo. A guidance of 1 is none, as everywhere in Gesso: Z-Image's own documents count from 0."""

    name = "z-image"
    layout: ClassVar[Layout] = Layout(
        pipelines=frozenset({"ZImagePipeline", "ZImageImg2ImgPipeline", "ZImageInpaintPipeline"}),
        networks={
            "text_encoder": frozenset({("transformers", "Qwen3Model"), ("transformers", "Qwen3ForCausalLM")}),
            "transformer": frozenset({("diffusers", "ZImageTransformer2DModel")}),
            "vae": AUTOENCODER,
        },
        vocabularies={"tokenizer": QWEN_TOKENIZERS},
    )

    def traits(self, source: Source) -> Traits:
        """Few steps without guidance for the distilled model."""
        latent = latent_of(source, "transformer", source.settings("vae"))
        token = PATCH * latent.factor
        scheduler, transformer = source.settings("scheduler"), source.settings("transformer")
        parametrisation, shift = flow_of(scheduler, token)
        turbo = scheduler.get("shift") == _TURBO_SHIFT
        largest = min(int(side) for side in transformer.get("axes_lens", (1024, 512, 512))[1:]) * token
        return Traits(
            parametrisation=parametrisation,
            shift=shift,
            latent=latent,
            defaults=Defaults("euler", "simple", 9, 1.0, _SIDE, _SIDE) if turbo else Defaults("euler", "simple", 40, 5.0, _SIDE, _SIDE),
            limits=Limits(token, min(largest, 4096), token),
            base="z-image",
        )

    def build(self, card: ModelCard, source: Source, on: torch.device) -> LatentDiffusion:
        """The autoencoder in full precision, the language model and the transformer in half on an accelerator."""
        from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel

        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.codec import Codec
        from gesso_plugins.diffusion.language import ChatText

        assert card.latent is not None
        full, half = loading.Place(on, torch.float32), loading.wide_half(on)
        transformer: Any = loading.diffusers_network(ZImageTransformer2DModel, source, "transformer", half)
        chat = ChatText(
            loading.tokenizer("Qwen2Tokenizer", source, "tokenizer"),
            loading.qwen3(source, "text_encoder", half),
            on,
            _TEMPLATE,
            layer=-2,
            most=int(transformer.config.axes_lens[0]) - 64,
        )
        codec = Codec(loading.autoencoder(source, full), card.latent.channels, on)
        return LatentDiffusion(card, ZImageWords(chat), ZImageDenoiser(transformer, PATCH), codec, on)


class ZImageWords:
    """The language model's states before its last layer."""

    def __init__(self, chat: ChatText) -> None:
        self._chat = chat
        self.networks = chat.networks

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text, as long as the text."""
        return [Conditioning(self._chat.hear(text)) for text in texts]


class ZImageDenoiser(FlowDenoiser):
    """`ZImageTransformer2DModel`: its time runs from noise to picture, and so does its velocity."""

    def velocity(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """Pictures go in as lists of one frame each."""
        rows = self.network(list(x.unsqueeze(2).unbind(0)), 1 - sigma, list(cond.tokens.to(x).unbind(0)), return_dict=False)[0]
        return -torch.stack(rows).squeeze(2)
