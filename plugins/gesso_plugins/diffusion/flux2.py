"""The family `flux2`: Flux.2 dev and Klein. Three layers of a language model beside each other, a transformer over patches of the codec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gesso.model import Conditioning, Defaults, Latent, Limits, ModelCard, Parametrisation, Shift
from gesso_plugins.diffusion.family import MISTRAL_TOKENIZERS, QWEN_TOKENIZERS, LatentFamily, Layout, Traits, latent_of
from gesso_plugins.diffusion.flow import FlowDenoiser
from gesso_plugins.diffusion.model import LatentDiffusion

if TYPE_CHECKING:
    from gesso_plugins.diffusion.language import PaddedChatText
    from gesso_plugins.diffusion.loading import Place
    from gesso_plugins.diffusion.source import Source

PATCH = 2
_SIDE = 1024
_HEARD = 512
"""Tokens of each message, padding and all."""
_QWEN = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
"""What Qwen 3's chat template makes of one message with thinking left out. The template in the files is a program and is not run."""
_LAYERS = {"Qwen3ForCausalLM": (9, 18, 27), "Mistral3ForConditionalGeneration": (10, 20, 30)}
"""Whose states are heard of which language model."""
_REFERENCE = 10
"""The time that the places of a reference have; the picture's is 0."""


class Flux2Family(LatentFamily):
    """Klein hears Qwen 3 and is guided by a negative prompt, or distilled to few steps; dev hears Mistral 3 and is told the guidance."""

    name = "flux2"
    layout: ClassVar[Layout] = Layout(
        pipelines=frozenset({"Flux2KleinPipeline", "Flux2Pipeline"}),
        networks={
            "text_encoder": frozenset(("transformers", kind) for kind in _LAYERS),
            "transformer": frozenset({("diffusers", "Flux2Transformer2DModel")}),
            "vae": frozenset({("diffusers", "AutoencoderKLFlux2")}),
        },
        vocabularies={"tokenizer": QWEN_TOKENIZERS | MISTRAL_TOKENIZERS},
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
            embeds_guidance=bool(source.settings("transformer").get("guidance_embeds", True)),
            base="flux2",
            abilities=frozenset({"instruct"}),
        )

    def build(self, card: ModelCard, source: Source, on: torch.device) -> LatentDiffusion:
        """The autoencoder in full precision, the language model and the transformer in half on an accelerator."""
        from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
        from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel

        from gesso_plugins.diffusion import loading
        from gesso_plugins.diffusion.codec import PatchCodec

        assert card.latent is not None
        full, half = loading.Place(on, torch.float32), loading.wide_half(on)
        transformer = loading.diffusers_network(Flux2Transformer2DModel, source, "transformer", half)
        codec = PatchCodec(loading.diffusers_network(AutoencoderKLFlux2, source, "vae", full), card.latent.channels, on)
        return LatentDiffusion(card, Flux2Words(_chat(source, on, half)), Flux2Denoiser(transformer), codec, on)


def _chat(source: Source, on: torch.device, half: Place) -> PaddedChatText:
    """The language model that the checkpoint names, with the messages that it was asked with."""
    from gesso_plugins.diffusion import loading
    from gesso_plugins.diffusion.language import PaddedChatText

    kind = source.index["text_encoder"][1]
    if kind == "Qwen3ForCausalLM":
        tokenizer, words, template = loading.tokenizer("Qwen2Tokenizer", source, "tokenizer"), loading.qwen3, _QWEN
    else:
        tokenizer, words, template = loading.tokenizer("PreTrainedTokenizerFast", source, "tokenizer"), loading.mistral3_text, _mistral()
    return PaddedChatText(tokenizer, words(source, "text_encoder", half), on, template, layers=_LAYERS[kind], length=_HEARD)


def _mistral() -> tuple[str, str]:
    """What Mistral's chat template makes of one message behind the authors' instruction, which diffusers carries."""
    from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE

    return f"<s>[SYSTEM_PROMPT]{SYSTEM_MESSAGE}[/SYSTEM_PROMPT][INST]", "[/INST]"


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

    def __init__(self, network: Any) -> None:
        super().__init__(network, 1)
        self._guided = bool(network.config.guidance_embeds)

    def velocity(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """With the guidance scale, where the network takes one, and the tokens of a reference behind those of the picture."""
        tokens, ids = x.flatten(2).transpose(1, 2), places(x.shape[2], x.shape[3], x.device)
        if "reference" in cond.extras:
            reference = cond.extras["reference"].to(x)
            tokens = torch.cat([tokens, reference.flatten(2).transpose(1, 2)], dim=1)
            ids = torch.cat([ids, places(reference.shape[2], reference.shape[3], x.device, time=_REFERENCE)])
        words = torch.arange(cond.tokens.shape[1], device=x.device)
        guidance = cond.extras["guidance"].to(x.device) if self._guided else None
        output: Tensor = self.network(
            hidden_states=tokens,
            timestep=sigma,
            guidance=guidance,
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
