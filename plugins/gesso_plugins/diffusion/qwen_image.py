"""The family `qwen-image`: a transformer over packed latents, told the prompt by the language model of Qwen 2.5 VL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gesso.errors import ModelError
from gesso.model import Conditioning, Defaults, Latent, Limits, ModelCard
from gesso_plugins.diffusion.family import QWEN_TOKENIZERS, LatentFamily, Layout, Traits
from gesso_plugins.diffusion.flow import FlowDenoiser, flow_of
from gesso_plugins.diffusion.flux import PATCH, packed, unpacked
from gesso_plugins.diffusion.model import LatentDiffusion

if TYPE_CHECKING:
    from gesso_plugins.diffusion.language import ChatText
    from gesso_plugins.diffusion.source import Source

_SIDE = 1328
_TEMPLATE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial relationships of the "
    "objects and background:<|im_end|>\n<|im_start|>user\n",
    "<|im_end|>\n<|im_start|>assistant\n",
)
_DROPPED = 34
"""Tokens of the template before the prompt, whose states the network never saw."""
_MOST = 1024


class QwenImageFamily(LatentFamily):
    """Qwen-Image (Wu et al. 2025, arXiv 2508.02324)."""

    name = "qwen-image"
    layout: ClassVar[Layout] = Layout(
        pipelines=frozenset({"QwenImagePipeline", "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline"}),
        networks={
            "text_encoder": frozenset({("transformers", "Qwen2_5_VLForConditionalGeneration")}),
            "transformer": frozenset({("diffusers", "QwenImageTransformer2DModel")}),
            "vae": frozenset({("diffusers", "AutoencoderKLQwenImage")}),
        },
        vocabularies={"tokenizer": QWEN_TOKENIZERS},
    )

    def traits(self, source: Source) -> Traits:
        """The codec halves the sides once for each of its levels."""
        vae = source.settings("vae")
        channels, levels = vae.get("z_dim"), vae.get("temperal_downsample")
        if not isinstance(channels, int) or not isinstance(levels, list):
            raise ModelError(f"The autoencoder of {source.path} lacks z_dim or temperal_downsample.")
        latent = Latent(channels, 2 ** len(levels))
        token = PATCH * latent.factor
        parametrisation, shift = flow_of(source.settings("scheduler"), token)
        guided = bool(source.settings("transformer").get("guidance_embeds"))
        return Traits(
            parametrisation=parametrisation,
            shift=shift,
            latent=latent,
            defaults=Defaults("euler", "simple", 30, 4.0, _SIDE, _SIDE),
            limits=Limits(token, 4096, token),
            embeds_guidance=guided,
            base="qwen-image",
        )

    def build(self, card: ModelCard, source: Source, on: torch.device) -> LatentDiffusion:
        """The codec in full precision, the language model and the transformer in half on an accelerator."""
        from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
        from diffusers.models.transformers.transformer_qwenimage import QwenEmbedRope, QwenImageTransformer2DModel

        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.codec import FrameCodec
        from gesso_plugins.diffusion.language import ChatText

        assert card.latent is not None
        full, half = loading.Place(on, torch.float32), loading.wide_half(on)
        chat = ChatText(
            loading.tokenizer("Qwen2Tokenizer", source, "tokenizer"),
            loading.qwen_vl_text(source, "text_encoder", half),
            on,
            _TEMPLATE,
            layer=-1,
            most=_MOST + _DROPPED,
            drop=_DROPPED,
        )
        transformer: Any = loading.diffusers_network(QwenImageTransformer2DModel, source, "transformer", half)
        transformer.pos_embed = QwenEmbedRope(10000, list(transformer.config.axes_dims_rope), scale_rope=True)  # no weights, no buffers
        codec = FrameCodec(loading.diffusers_network(AutoencoderKLQwenImage, source, "vae", full), card.latent.channels, on)
        return LatentDiffusion(card, QwenImageWords(chat), QwenImageDenoiser(transformer, PATCH), codec, on)


class QwenImageWords:
    """The language model's last states of the prompt."""

    def __init__(self, chat: ChatText) -> None:
        self._chat = chat
        self.networks = chat.networks

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text, as long as the text."""
        return [Conditioning(self._chat.hear(text)) for text in texts]


class QwenImageDenoiser(FlowDenoiser):
    """`QwenImageTransformer2DModel`, whose tokens are 2 x 2 places of the latent."""

    def velocity(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """It is told the size of the picture in tokens."""
        height, width = x.shape[2:]
        guidance = cond.extras.get("guidance")
        output = self.network(
            hidden_states=packed(x),
            timestep=sigma,
            guidance=None if guidance is None else guidance.to(x.device),
            encoder_hidden_states=cond.tokens.to(x),
            encoder_hidden_states_mask=None,
            img_shapes=[[(1, height // PATCH, width // PATCH)]] * len(x),
            return_dict=False,
        )[0]
        return unpacked(output, height, width)
