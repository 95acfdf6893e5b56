"""A latent diffusion model as the engine sees it, joined from three borders: words, denoiser and codec. It knows no architecture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gesso.errors import InvalidRequest, ModelError
from gesso.model import (
    Autoencoder,
    Conditioning,
    Control,
    Embedding,
    Factors,
    Lesson,
    Lora,
    ModelCard,
    Parametrisation,
    Patch,
    Perturbation,
    Plan,
    Seamless,
    Shown,
    Thrift,
)
from gesso_plugins.diffusion import teaching
from gesso_plugins.diffusion.aligning import aligned
from gesso_plugins.diffusion.codec import Codec, Ejects
from gesso_plugins.diffusion.holding import Turns, as_int8, run_as_wished, size_of
from gesso_plugins.diffusion.lora import Layers, LoraWeights, PutOn
from gesso_plugins.diffusion.perturbing import perturbed


class Words(Protocol):
    """The border between prompts and what the denoiser hears."""

    @property
    def networks(self) -> Sequence[nn.Module]:
        """The text encoders."""
        ...

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text, each computed alone, so that grouping changes no bit."""
        ...


@runtime_checkable
class HearsNegatives(Protocol):
    """Words that hear a negative prompt otherwise than a prompt."""

    def encode_negative(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text."""
        ...


@runtime_checkable
class Learns(Protocol):
    """Words that take learned vectors."""

    def learn(self, words: Mapping[str, Mapping[int, Tensor]]) -> None:
        """These words stand for vectors, by their width, from now on."""
        ...


@runtime_checkable
class Sees(Protocol):
    """Words that are heard together with a picture."""

    def look(self, picture: Tensor | None) -> None:
        """From now on they are heard with this picture (1, 3, H, W) in 0..1."""
        ...


class Denoiser(Protocol):
    """The border between a sampler's (x, sigma) and a network."""

    @property
    def network(self) -> nn.Module:
        """The denoising network."""
        ...

    def x0(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """Rows x (B, C, h, w) at levels sigma (B,), float32 on the device -> x0 in float32."""
        ...

    def seamless(self, x: bool, y: bool) -> Ejects:
        """Wrap around along these axes until it is taken back."""
        ...


@runtime_checkable
class Steerable(Protocol):
    """A denoiser that ControlNets may steer."""

    def controlled(self, controls: Sequence[Control]) -> contextlib.AbstractContextManager[None]:
        """Let them add to the forwards within."""
        ...


class LatentDiffusion:
    """Loaded weights. The denoiser in half precision on accelerators, the rest in float32; every input and reply is float32."""

    methods: ClassVar[Mapping[str, bool]] = {"plan_lora": False, "learn_lora": False, "lora_tensors": False}

    def __init__(self, card: ModelCard, words: Words, denoiser: Denoiser, codec: Codec, device: torch.device) -> None:
        assert card.parametrisation is not None
        assert card.latent is not None
        self.card = card
        self.parametrisation: Parametrisation = card.parametrisation
        self.words = words
        self._latent = card.latent
        self.denoiser = denoiser
        self._codec = self._own_codec = codec
        self._device = device
        self._patches: tuple[Patch, ...] = ()
        self._injected: list[Ejects] = []
        self.layers: Layers | None = None
        """What LoRAs may change, set by the family."""
        self.turns: Turns | None = None
        """How the parts share the device, where they do not fit together."""

    def hold(self, thrift: Thrift, rest: torch.device) -> None:
        """Hold and run the networks so, before the first call. ``rest``: where weights lie that are not on the device."""
        if thrift.int8:
            for network in (*self.words.networks, self.denoiser.network):
                as_int8(network)
        if thrift.offload == "always":
            self.turns = Turns(self._parts, self._device, rest)
        else:
            for network in self._networks:
                network.to(self._device)
        run_as_wished((self.denoiser.network,), thrift)
        self._own_codec.hold(thrift)

    @property
    def _parts(self) -> dict[str, tuple[nn.Module, ...]]:
        return {"words": tuple(self.words.networks), "denoiser": (self.denoiser.network,), "codec": (self._own_codec.network,)}

    @property
    def _networks(self) -> tuple[nn.Module, ...]:
        return tuple(network for networks in self._parts.values() for network in networks)

    def _take(self, part: str) -> None:
        """Before a part computes."""
        if self.turns is not None:
            self.turns.take(part)

    @property
    def nbytes(self) -> int:
        """Bytes of all weights that are on the device at once."""
        return sum(map(size_of, self._networks)) if self.turns is None else self.turns.nbytes

    def patched(self, patches: Sequence[Patch]) -> contextlib.AbstractContextManager[None]:
        """Seamless padding, LoRAs and learned words. They stay in place until a call with other patches comes, so that the steps of one job
        change nothing.
        """
        wanted = tuple(patches)
        if wanted != self._patches:
            self._eject()
            self._inject(wanted)
        return contextlib.nullcontext()

    def _inject(self, patches: tuple[Patch, ...]) -> None:
        if sum(isinstance(patch, Seamless) for patch in patches) > 1:
            raise InvalidRequest(f"The model {self.card.name!r} takes seamless padding once.")
        loras = [(patch.weights, patch.weight) for patch in patches if isinstance(patch, Lora)]
        learned: dict[str, Mapping[int, Tensor]] = {}
        try:
            for patch in patches:
                if isinstance(patch, Autoencoder):
                    self._exchange(patch)
            for patch in patches:
                if isinstance(patch, Seamless):
                    self._injected.append(self.denoiser.seamless(patch.x, patch.y))
                    self._injected.append(self._codec.seamless(patch.x, patch.y))
                elif isinstance(patch, Autoencoder):
                    continue
                elif isinstance(patch, Embedding) and isinstance(self.words, Learns):
                    learned[patch.word] = patch.weights.by_width
                elif isinstance(patch, Shown) and isinstance(self.words, Sees):
                    self.words.look(patch.picture)
                elif not isinstance(patch, Lora) or self.layers is None:
                    raise InvalidRequest(f"The model {self.card.name!r} cannot take {type(patch).__name__}.")
            if isinstance(self.words, Learns):
                self.words.learn(learned)
            if loras and self.layers is not None:
                self._injected.append(PutOn(self.layers, loras, self.card))
        except BaseException:
            self._eject()
            raise
        self._patches = patches

    def _exchange(self, patch: Autoencoder) -> None:
        codec = self._own_codec.exchanged(patch.weights.network)
        if codec is None:
            raise InvalidRequest(
                f"The autoencoder {patch.model.name!r} was made for another base: its latents are not those of {self.card.name!r}.",
                field="vae",
                hint="Leave it out, or use a model that it was made for.",
            )
        self._codec = codec

    def _eject(self) -> None:
        for injected in self._injected:
            injected.eject()
        self._injected, self._patches, self._codec = [], (), self._own_codec
        if isinstance(self.words, Learns):
            self.words.learn({})
        if isinstance(self.words, Sees):
            self.words.look(None)

    def encode_text(self, texts: Sequence[str]) -> list[Conditioning]:
        """What the text encoders make of each prompt."""
        self._take("words")
        return self.words.encode(texts)

    def encode_negative(self, texts: Sequence[str]) -> list[Conditioning]:
        """What the text encoders make of each negative prompt."""
        self._take("words")
        return self.words.encode_negative(texts) if isinstance(self.words, HearsNegatives) else self.words.encode(texts)

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(C, h, w)."""
        return self._latent.shape(width, height)

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """Rows x (B, C, h, w) at levels sigma (B,) -> x0 (B, C, h, w)."""
        self._take("denoiser")
        return self.denoiser.x0(x.to(self._device, torch.float32), sigma.to(self._device, torch.float32), cond)

    def perturbed(self, perturbation: Perturbation) -> contextlib.AbstractContextManager[None]:
        """Some layers of the network without self-attention, or left out."""
        return perturbed(self.denoiser.network, perturbation)

    def aligned(self, share: float) -> contextlib.AbstractContextManager[None]:
        """The first half of the rows takes on the look of the second."""
        return aligned(self.denoiser.network, share)

    def controlled(self, controls: Sequence[Control]) -> contextlib.AbstractContextManager[None]:
        """Other networks add to the forwards within."""
        if not isinstance(self.denoiser, Steerable):
            raise InvalidRequest(f"The model {self.card.name!r} takes no controls.", field="control", hint="Choose another model.")
        return self.denoiser.controlled(controls)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W) in 0..1."""
        self._take("codec")
        return self._codec.decode(latents)

    def encode_image(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> the mean of the latents' distribution."""
        self._take("codec")
        return self._codec.encode(images)

    def preview_matrix(self) -> Tensor:
        """(C + 1, 3) of this model's own decoder."""
        self._take("codec")
        return self._own_codec.preview_matrix()

    def apply(self, method: str, inputs: Mapping[str, Any]) -> Any:
        """Methods of `gesso.model.Teachable`."""
        if method == "plan_lora":
            return self.plan_lora(inputs["plan"])
        if method == "lora_tensors":
            return self.lora_tensors(inputs["factors"])
        pupil = inputs["pupil"]
        loss, x0 = self.lora_loss(pupil.factors, inputs["lesson"])
        pupil.descend(loss, inputs["factor"])
        return float(loss.detach()), x0[:1].detach().to("cpu")

    def plan_lora(self, plan: Plan) -> Factors:
        """Factors for the layers of the denoiser."""
        return teaching.planned(self.denoiser.network, plan, self._device)

    def lora_loss(self, factors: Factors, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """The error of the network's own answer. On accelerators the network computes in bfloat16, whose range gradients do not leave."""
        self._take("denoiser")
        x, cond = teaching.noisy(lesson, self.parametrisation, self._device), teaching.stacked(lesson.conds, self._device)
        kind = self._device.type
        half = torch.autocast(kind, torch.bfloat16, enabled=lesson.half or kind != "cpu")
        with self.wearing(factors, lesson.wraps), torch.enable_grad(), half:
            x0 = self.denoise(x, lesson.sigmas, cond).float()
            loss = teaching.squared_error(x0, lesson, self.parametrisation)
        if not loss.isfinite():
            raise ModelError(
                f"The LoRA that {self.card.name!r} learns has come to numbers that are none.", hint="Learn at a lower rate, or anew."
            )
        return loss, x0

    @contextlib.contextmanager
    def wearing(self, factors: Factors, wraps: tuple[bool, bool]) -> Iterator[None]:
        """The model with these factors, and nothing else of any job."""
        if self.layers is None:
            raise InvalidRequest(f"The model {self.card.name!r} cannot take a LoRA.", field="model", hint="Take another model.")
        with self.patched((Seamless(*wraps),) if any(wraps) else ()):
            put_on = PutOn(self.layers, [(LoraWeights(self.card, teaching.changes(factors)), 1.0)], self.card)
            try:
                yield
            finally:
                put_on.eject()

    def lora_tensors(self, factors: Factors) -> dict[str, Tensor]:
        """As a file holds them."""
        return teaching.tensors(factors, self.denoiser.network)
