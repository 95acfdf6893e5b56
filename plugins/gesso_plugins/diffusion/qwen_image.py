"""The family `qwen-image`: a transformer over packed latents, told the prompt by the language model of Qwen 2.5 VL. In the models
that edit it sees the picture too.
"""

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
from gesso_plugins.diffusion.model import LatentDiffusion, Words
from gesso_plugins.diffusion.seeing import Sight

if TYPE_CHECKING:
    from gesso_plugins.diffusion.language import ChatText
    from gesso_plugins.diffusion.loading import Place
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
_ASKED = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects, background), then explain "
    "how the user's text instruction should alter or modify the image. Generate a new image that meets the user's requirements while "
    "maintaining consistency with the original input where appropriate.<|im_end|>\n<|im_start|>user\n"
)
_SEEN = "<|vision_end|>"
EDITORS = {
    "QwenImageEditPipeline": Sight((f"{_ASKED}<|vision_start|>", _SEEN, _TEMPLATE[1]), 64, 1024 * 1024, _MOST),
    "QwenImageEditPlusPipeline": Sight((f"{_ASKED}Picture 1: <|vision_start|>", _SEEN, _TEMPLATE[1]), 64, 384 * 384, _MOST),
}
"""How each shows its language model the picture; ``Plus`` are those since September 2025 (2509, 2511)."""
_EDITED_SIDE = 1024


class QwenImageFamily(LatentFamily):
    """Qwen-Image (Wu et al. 2025, arXiv 2508.02324)."""

    name = "qwen-image"
    layout: ClassVar[Layout] = Layout(
        pipelines=frozenset({"QwenImagePipeline", "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline", *EDITORS}),
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
        edits = source.index["_class_name"] in EDITORS
        side = _EDITED_SIDE if edits else _SIDE
        return Traits(
            parametrisation=parametrisation,
            shift=shift,
            latent=latent,
            defaults=Defaults("euler", "simple", 30, 4.0, side, side),
            limits=Limits(token, 4096, token),
            embeds_guidance=guided,
            base="qwen-image",
            abilities=frozenset({"instruct", "see_image"}) if edits else frozenset(),
        )

    def build(self, card: ModelCard, source: Source, on: torch.device) -> LatentDiffusion:
        """The codec in full precision, the language model and the transformer in half on an accelerator."""
        from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
        from diffusers.models.transformers.transformer_qwenimage import QwenEmbedRope, QwenImageTransformer2DModel

        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.codec import FrameCodec

        assert card.latent is not None
        full, half = loading.Place(on, torch.float32), loading.wide_half(on)
        transformer: Any = loading.diffusers_network(QwenImageTransformer2DModel, source, "transformer", half)
        transformer.pos_embed = QwenEmbedRope(10000, list(transformer.config.axes_dims_rope), scale_rope=True)  # no weights, no buffers
        codec = FrameCodec(loading.diffusers_network(AutoencoderKLQwenImage, source, "vae", full), card.latent.channels, on)
        return LatentDiffusion(card, _words(source, half), QwenImageDenoiser(transformer, PATCH), codec, on)


def _words(source: Source, place: Place) -> Words:
    """With eyes where the model edits."""
    from gesso_plugins.diffusion import loading
    from gesso_plugins.diffusion.language import ChatText
    from gesso_plugins.diffusion.seeing import SeeingWords

    tokenizer, sight = loading.tokenizer("Qwen2Tokenizer", source, "tokenizer"), EDITORS.get(source.index["_class_name"])
    if sight is not None:
        return SeeingWords(tokenizer, loading.qwen_vl(source, "text_encoder", place), place.device, sight)
    words = loading.qwen_vl_text(source, "text_encoder", place)
    return QwenImageWords(ChatText(tokenizer, words, place.device, _TEMPLATE, layer=-1, most=_MOST + _DROPPED, drop=_DROPPED))


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
        """It is told the size of the picture in tokens, and that of a reference, whose tokens stand behind those of the picture."""
        height, width = x.shape[2:]
        pictures = [x, *([cond.extras["reference"].to(x)] if "reference" in cond.extras else [])]
        tokens = [packed(picture) for picture in pictures]
        guidance = cond.extras.get("guidance")
        output = self.network(
            hidden_states=torch.cat(tokens, dim=1),
            timestep=sigma,
            guidance=None if guidance is None else guidance.to(x.device),
            encoder_hidden_states=cond.tokens.to(x),
            encoder_hidden_states_mask=None,
            img_shapes=[[(1, picture.shape[2] // PATCH, picture.shape[3] // PATCH) for picture in pictures]] * len(x),
            return_dict=False,
        )[0]
        return unpacked(output[:, : tokens[0].shape[1]], height, width)
