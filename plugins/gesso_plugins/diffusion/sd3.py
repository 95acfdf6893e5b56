"""The family `stable-diffusion-3`: SD 3 and 3.5. Two CLIP encoders, T5 where it is there, a transformer of rectified flow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from gesso.model import Conditioning, Defaults, Limits, ModelCard
from gesso_plugins.diffusion.family import AUTOENCODER, CLIP_TOKENIZERS, T5_ENCODER, T5_TOKENIZERS, LatentFamily, Layout, Traits, latent_of
from gesso_plugins.diffusion.flow import FlowDenoiser, flow_of
from gesso_plugins.diffusion.model import LatentDiffusion

if TYPE_CHECKING:
    from gesso_plugins.diffusion.clip import ClipText
    from gesso_plugins.diffusion.language import T5Text
    from gesso_plugins.diffusion.source import Source

T5_LENGTH = 256
_CLIP = frozenset({("transformers", "CLIPTextModelWithProjection")})


class StableDiffusion3Family(LatentFamily):
    """SD 3 and 3.5 (Esser et al. 2024, arXiv 2403.03206)."""

    name = "stable-diffusion-3"
    layout: ClassVar[Layout] = Layout(
        pipelines=frozenset({"StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline"}),
        networks={
            "text_encoder": _CLIP,
            "text_encoder_2": _CLIP,
            "text_encoder_3": T5_ENCODER,
            "transformer": frozenset({("diffusers", "SD3Transformer2DModel")}),
            "vae": AUTOENCODER,
        },
        vocabularies={"tokenizer": CLIP_TOKENIZERS, "tokenizer_2": CLIP_TOKENIZERS, "tokenizer_3": T5_TOKENIZERS},
        optional=frozenset({"text_encoder_3", "tokenizer_3"}),
    )

    def single_file(self, path: Path) -> Source:
        """In the original layout, its other parts in the file or near it."""
        from gesso_plugins.diffusion.transformer_file import SD3, TransformerFile

        return TransformerFile(path, SD3)

    def traits(self, source: Source) -> Traits:
        """The size is the one that its position embedding was trained for."""
        transformer = source.settings("transformer")
        latent = latent_of(source, "transformer", source.settings("vae"))
        patch = int(transformer.get("patch_size", 2))
        token = patch * latent.factor
        parametrisation, shift = flow_of(source.settings("scheduler"), token)
        side = int(transformer.get("sample_size") or 128) * latent.factor
        largest = int(transformer.get("pos_embed_max_size") or 96) * token
        return Traits(
            parametrisation=parametrisation,
            shift=shift,
            latent=latent,
            defaults=Defaults("euler", "sgm_uniform", 28, 4.5, side, side),
            limits=Limits(token, largest, token),
            base="sd3",
            info={} if source.has("text_encoder_3") else {"without": "T5 (text_encoder_3): long prompts and lettering are heard less well"},
        )

    def build(self, card: ModelCard, source: Source, on: torch.device) -> LatentDiffusion:
        """CLIP and the autoencoder in full precision, T5 and the transformer in half on an accelerator."""
        from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel

        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.clip import ClipText
        from gesso_plugins.diffusion.codec import Codec
        from gesso_plugins.diffusion.language import T5Text

        assert card.latent is not None
        full, half = loading.Place(on, torch.float32), loading.wide_half(on)
        clips = [
            ClipText(
                loading.tokenizer("CLIPTokenizer", source, f"tokenizer{number}"),
                loading.clip_text(source, f"text_encoder{number}", full, projected=True),
                on,
                layer=-2,
            )
            for number in ("", "_2")
        ]
        t5 = None
        if source.has("text_encoder_3"):
            t5 = T5Text(
                loading.tokenizer("T5Tokenizer", source, "tokenizer_3"), loading.t5_encoder(source, "text_encoder_3", half), on, T5_LENGTH
            )
        transformer: Any = loading.diffusers_network(SD3Transformer2DModel, source, "transformer", half)
        words = SD3Words(clips, t5, transformer.config.joint_attention_dim)
        codec = Codec(loading.autoencoder(source, full), card.latent.channels, on)
        return LatentDiffusion(card, words, SD3Denoiser(transformer, transformer.config.patch_size), codec, on)


class SD3Words:
    """CLIP's states side by side, padded to T5's width and followed by T5's along the tokens; zeros stand for a T5 that is not there."""

    def __init__(self, clips: Sequence[ClipText], t5: T5Text | None, width: int) -> None:
        self._clips = clips
        self._t5 = t5
        self._width = width
        self.networks: tuple[nn.Module, ...] = (*(net for clip in clips for net in clip.networks), *(t5.networks if t5 else ()))

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> Conditioning:
        heard = [clip.hear(text) for clip in self._clips]
        short = torch.cat([states for states, _ in heard], dim=-1)
        short = nn.functional.pad(short, (0, self._width - short.shape[-1]))
        long = self._t5.hear(text)[0] if self._t5 else short.new_zeros(1, T5_LENGTH, self._width)
        return Conditioning(torch.cat([short, long], dim=1), torch.cat([pooled for _, pooled in heard], dim=-1))


class SD3Denoiser(FlowDenoiser):
    """`SD3Transformer2DModel`, whose time is a thousand times sigma."""

    def velocity(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """With the words and what they come to as a whole."""
        assert cond.pooled is not None
        output: Tensor = self.network(
            hidden_states=x,
            timestep=sigma * 1000,
            encoder_hidden_states=cond.tokens.to(x),
            pooled_projections=cond.pooled.to(x),
            return_dict=False,
        )[0]
        return output
