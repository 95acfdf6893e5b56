"""The family `flux`: Flux.1 dev and schnell. CLIP's word for the whole, T5's states, a transformer over packed latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

PATCH = 2
_SIDE = 1024
KONTEXT = "FluxKontextPipeline"
"""Its networks are those of dev, trained to do to a picture what the prompt says."""


class FluxFamily(LatentFamily):
    """Flux.1: dev takes the guidance scale as an input, schnell none and few steps."""

    name = "flux"
    layout: ClassVar[Layout] = Layout(
        pipelines=frozenset({"FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline", KONTEXT}),
        networks={
            "text_encoder": frozenset({("transformers", "CLIPTextModel")}),
            "text_encoder_2": T5_ENCODER,
            "transformer": frozenset({("diffusers", "FluxTransformer2DModel")}),
            "vae": AUTOENCODER,
        },
        vocabularies={"tokenizer": CLIP_TOKENIZERS, "tokenizer_2": T5_TOKENIZERS},
    )

    def single_file(self, path: Path) -> Source:
        """In the original layout, its other parts in the file or near it."""
        from gesso_plugins.diffusion.transformer_file import FLUX, TransformerFile

        return TransformerFile(path, FLUX)

    def traits(self, source: Source) -> Traits:
        """The schedule of dev moves with the size, that of schnell stands still."""
        latent = latent_of(source, "transformer", source.settings("vae"))
        token = PATCH * latent.factor
        parametrisation, shift = flow_of(source.settings("scheduler"), token)
        guided = bool(source.settings("transformer").get("guidance_embeds"))
        defaults = Defaults("euler", "simple", 28, 3.5, _SIDE, _SIDE) if guided else Defaults("euler", "simple", 4, 1.0, _SIDE, _SIDE)
        return Traits(
            parametrisation=parametrisation,
            shift=shift,
            latent=latent,
            defaults=defaults,
            limits=Limits(token, 4096, token),
            embeds_guidance=guided,
            base="flux1",
            abilities=frozenset({"instruct"}) if source.index["_class_name"] == KONTEXT else frozenset(),
        )

    def original_names(self, denoiser: nn.Module) -> Mapping[str, tuple[str, ...]]:
        """Those that kohya's trainer writes."""
        from gesso_plugins.diffusion.transformer_names import flux_aliases

        config: Any = denoiser.config
        return flux_aliases(config.num_layers, config.num_single_layers)

    def build(self, card: ModelCard, source: Source, on: torch.device) -> LatentDiffusion:
        """CLIP and the autoencoder in full precision, T5 and the transformer in half on an accelerator."""
        from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.clip import ClipText
        from gesso_plugins.diffusion.codec import Codec
        from gesso_plugins.diffusion.language import T5Text

        assert card.latent is not None
        full, half = loading.Place(on, torch.float32), loading.wide_half(on)
        clip = ClipText(loading.tokenizer("CLIPTokenizer", source, "tokenizer"), loading.clip_text(source, "text_encoder", full), on)
        t5 = T5Text(
            loading.tokenizer("T5Tokenizer", source, "tokenizer_2"),
            loading.t5_encoder(source, "text_encoder_2", half),
            on,
            512 if card.embeds_guidance else 256,
        )
        transformer = loading.diffusers_network(FluxTransformer2DModel, source, "transformer", half)
        codec = Codec(loading.autoencoder(source, full), card.latent.channels, on)
        return LatentDiffusion(card, FluxWords(clip, t5), FluxDenoiser(transformer), codec, on)


class FluxWords:
    """T5's states, and what CLIP makes of the whole prompt."""

    def __init__(self, clip: ClipText, t5: T5Text) -> None:
        self._clip = clip
        self._t5 = t5
        self.networks: tuple[nn.Module, ...] = (*clip.networks, *t5.networks)

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text."""
        return [Conditioning(self._t5.hear(text)[0], self._clip.hear(text)[1]) for text in texts]


class FluxDenoiser(FlowDenoiser):
    """`FluxTransformer2DModel`, whose tokens are 2 x 2 places of the latent with all their channels."""

    def __init__(self, network: Any) -> None:
        super().__init__(network, PATCH)
        self._guided = bool(network.config.guidance_embeds)

    def velocity(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """With the guidance scale, where the network takes one, and the tokens of a reference behind those of the picture."""
        assert cond.pooled is not None
        height, width = x.shape[2:]
        tokens, ids = packed(x), places(height // PATCH, width // PATCH, x.device)
        seen = tokens.shape[1]
        if "reference" in cond.extras:
            reference = cond.extras["reference"].to(x)
            tokens = torch.cat([tokens, packed(reference)], dim=1)
            ids = torch.cat([ids, places(reference.shape[2] // PATCH, reference.shape[3] // PATCH, x.device, first=1)])
        output = self.network(
            hidden_states=tokens,
            timestep=sigma,
            guidance=cond.extras["guidance"].to(x.device) if self._guided else None,
            pooled_projections=cond.pooled.to(x),
            encoder_hidden_states=cond.tokens.to(x),
            txt_ids=torch.zeros(cond.tokens.shape[1], 3, device=x.device),
            img_ids=ids,
            return_dict=False,
        )[0]
        return unpacked(output[:, :seen], height, width)


def packed(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h w / 4, 4 C): channel first, then the place within the patch."""
    rows, channels, height, width = x.shape
    patches = x.view(rows, channels, height // PATCH, PATCH, width // PATCH, PATCH).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(rows, -1, channels * PATCH * PATCH)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `packed`."""
    rows = tokens.shape[0]
    patches = tokens.view(rows, height // PATCH, width // PATCH, -1, PATCH, PATCH).permute(0, 3, 1, 4, 2, 5)
    return patches.reshape(rows, -1, height, width)


def places(height: int, width: int, device: torch.device, first: int = 0) -> Tensor:
    """(h w, 3): which picture, row, column of every token."""
    down, across = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    return torch.stack([torch.full_like(down, first), down, across], dim=-1).view(-1, 3).to(torch.float32)
