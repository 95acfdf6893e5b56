"""The family `flux2`: Flux.2 Klein. Three layers of a language model beside each other, a transformer over patches of the codec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from gesso.model import Conditioning, Defaults, Latent, Limits, ModelCard, Parametrisation, Shift
from gesso_plugins.diffusion.family import QWEN_TOKENIZERS, LatentFamily, Layout, Traits, latent_of
from gesso_plugins.diffusion.flow import FlowDenoiser
from gesso_plugins.diffusion.model import LatentDiffusion

if TYPE_CHECKING:
    from gesso_plugins.diffusion.language import PaddedChatText
    from gesso_plugins.diffusion.source import Source

PATCH = 2
_SIDE = 1024
_HEARD = 512
"""Tokens of each message, padding and all."""
_TEMPLATE = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
"""What Qwen 3's chat template makes of one message with thinking left out. The template in the files is a program and is not run."""
_LAYERS = (9, 18, 27)
"""Whose states are heard."""
_REFERENCE = 10
"""The time that the places of a reference have; the picture's is 0."""


class Flux2Family(LatentFamily):
    """Klein is guided by a negative prompt, or distilled to few steps. Flux.2 dev runs as diffusers' own pipeline."""

    name = "flux2"
    layout: ClassVar[Layout] = Layout(
        pipelines=frozenset({"Flux2KleinPipeline"}),
        networks={
            "text_encoder": frozenset({("transformers", "Qwen3ForCausalLM")}),
            "transformer": frozenset({("diffusers", "Flux2Transformer2DModel")}),
            "vae": frozenset({("diffusers", "AutoencoderKLFlux2")}),
        },
        vocabularies={"tokenizer": QWEN_TOKENIZERS},
    )

    def traits(self, source: Source) -> Traits:
        """One place of the latent is a patch of the codec's."""
        codec = latent_of(source, "transformer", source.settings("vae"))
        latent = Latent(codec.channels * PATCH**2, codec.factor * PATCH)
        distilled = bool(source.index.get("is_distilled"))
        steps = 4 if distilled else 50
        return Traits(
            parametrisation=Parametrisation("flow", tuple(t / 1000 for t in range(1, 1001))),
            shift=_shift(latent.factor, steps),
            latent=latent,
            defaults=Defaults("euler", "simple", steps, 1.0 if distilled else 4.0, _SIDE, _SIDE),
            limits=Limits(4 * latent.factor, 4096, latent.factor),
            base="flux2",
            abilities=frozenset({"instruct"}),
        )

    def build(self, card: ModelCard, source: Source, on: torch.device) -> LatentDiffusion:
        """The autoencoder in full precision, the language model and the transformer in half on an accelerator."""
        from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
        from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel

        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.codec import PatchCodec
        from gesso_plugins.diffusion.language import PaddedChatText

        assert card.latent is not None
        full, half = loading.Place(on, torch.float32), loading.wide_half(on)
        tokenizer, words = loading.tokenizer("Qwen2Tokenizer", source, "tokenizer"), loading.qwen3(source, "text_encoder", half)
        chat = PaddedChatText(tokenizer, words, on, _TEMPLATE, layers=_LAYERS, length=_HEARD)
        transformer = loading.diffusers_network(Flux2Transformer2DModel, source, "transformer", half)
        codec = PatchCodec(loading.diffusers_network(AutoencoderKLFlux2, source, "vae", full), card.latent.channels, on)
        return LatentDiffusion(card, Flux2Words(chat), Flux2Denoiser(transformer, 1), codec, on)


def _shift(pixels: int, steps: int) -> Shift:
    """How the levels move with the size, as the authors fitted it to both tokens and steps, for this number of steps: with ten steps and
    with two hundred the exponent grows with the tokens along a line each, and between these with the steps.
    """

    def exponent(tokens: int) -> float:
        ten, many = 8.73809524e-05 * tokens + 1.89833333, 0.00016927 * tokens + 0.45666666
        return ten + (many - ten) * (steps - 10) / 190

    return Shift(pixels, (256, 4096), exponent(256), exponent(4096))


class Flux2Words:
    """The language model's states."""

    def __init__(self, chat: PaddedChatText) -> None:
        self._chat = chat
        self.networks = chat.networks

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text."""
        return [Conditioning(self._chat.hear(text)) for text in texts]


class Flux2Denoiser(FlowDenoiser):
    """`Flux2Transformer2DModel`, a token for each place of the latent."""

    def velocity(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """With the tokens of a reference behind those of the picture."""
        tokens, ids = x.flatten(2).transpose(1, 2), places(x.shape[2], x.shape[3], x.device)
        if "reference" in cond.extras:
            reference = cond.extras["reference"].to(x)
            tokens = torch.cat([tokens, reference.flatten(2).transpose(1, 2)], dim=1)
            ids = torch.cat([ids, places(reference.shape[2], reference.shape[3], x.device, time=_REFERENCE)])
        words = torch.arange(cond.tokens.shape[1], device=x.device)
        output: Tensor = self.network(
            hidden_states=tokens,
            timestep=sigma,
            encoder_hidden_states=cond.tokens.to(x),
            txt_ids=torch.stack([*[torch.zeros_like(words)] * 3, words], dim=1),
            img_ids=ids,
            return_dict=False,
        )[0]
        return output[:, : x.shape[2] * x.shape[3]].transpose(1, 2).reshape(x.shape)


def places(height: int, width: int, device: torch.device, time: int = 0) -> Tensor:
    """(h w, 4): time, row, column and 0 of every token."""
    ranges = ((time, time + 1), (0, height), (0, width), (0, 1))
    return torch.cartesian_prod(*(torch.arange(first, last, device=device) for first, last in ranges))
