"""The capability protocols. A family implements those it can; operations branch on a capability, never on a family's name.

A `Model` is loaded weights. Batched methods take rows stacked along dimension 0; patches are injected by the engine through
``patched`` around a call and are the same for all rows of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor, device

from gesso.manifest import ModelEntry
from gesso.model.card import ModelCard
from gesso.model.conditioning import Conditioning
from gesso.model.controls import Control
from gesso.model.parametrisation import Parametrisation
from gesso.model.patches import Patch
from gesso.model.perturbation import Perturbation
from gesso.model.thrift import Thrift


@runtime_checkable
class Model(Protocol):
    """Loaded weights on a device."""

    card: ModelCard

    @property
    def nbytes(self) -> int:
        """Bytes the weights take on their device."""
        ...

    def patched(self, patches: Sequence[Patch]) -> AbstractContextManager[None]:
        """Inject patches for the time of a call; raise InvalidRequest for a patch the model cannot take."""
        ...


@runtime_checkable
class EncodesText(Protocol):
    """Capability ``encode_text``; with ``see_image`` too, words are heard with the picture of a `gesso.model.Shown` among the patches."""

    def encode_text(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text; equal texts give equal bits however they are grouped."""
        ...


@runtime_checkable
class EncodesNegatives(Protocol):
    """A model that encodes text and treats what must not be shown otherwise (an empty one is zeros, another aesthetic score)."""

    def encode_negative(self, texts: Sequence[str]) -> list[Conditioning]:
        """Like `EncodesText.encode_text`, for negative prompts."""
        ...


@runtime_checkable
class Denoises(Protocol):
    """Capability ``denoise``: iterative denoising in a latent (or pixel) space."""

    parametrisation: Parametrisation

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(C, h, w) for an image of width x height pixels."""
        ...

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """Rows x (B, C, h, w), sigma (B,) float32, cond with batch B -> x0 (B, C, h, w). eps, v, flow and discrete time end here.

        Known extras of ``cond``: ``guidance`` (B,), the scale, where the card ``embeds_guidance``; ``concat`` (B, c, h, w), further
        channels beside x, where the card has ``extra_channels``; ``heard`` (B, 1), 0 for rows that a control with the capability
        ``reference`` must not show its picture to.
        """
        ...

    def preview_matrix(self) -> Tensor:
        """(C + 1, 3): least-squares map from latent channels (and a constant 1) to RGB in 0..1."""
        ...


@runtime_checkable
class Perturbs(Protocol):
    """A model that denoises and whose card names ``layers``: it can compute rows with some of these perturbed."""

    def perturbed(self, perturbation: Perturbation) -> AbstractContextManager[None]:
        """Perturb the network for the time of one forward; afterwards it computes equal bits again."""
        ...


@runtime_checkable
class Aligns(Protocol):
    """A model that denoises and whose card names ``layers``: the pictures that it makes can take on the look of one of them."""

    def aligned(self, share: float) -> AbstractContextManager[None]:
        """Within, the rows of a forward come in two halves, and row i of the first follows row i of the second: its self-attention also
        sees the other's keys and values, after its queries and keys have been given that one's statistics (Hertz et al. 2024, StyleAligned,
        arXiv 2312.02133, eq. 5). ``share``, over 0 and at most 1, scales both. The second half is computed as it always is.
        """
        ...


@runtime_checkable
class Controlled(Protocol):
    """A model that denoises and has the capability ``control``: other networks may steer it."""

    def controlled(self, controls: Sequence[Control]) -> AbstractContextManager[None]:
        """Add what these controls say to the forwards within; InvalidRequest for one that was made for another base."""
        ...


@runtime_checkable
class Decodes(Protocol):
    """Capability ``decode``; with ``draw`` too (and ``encode_text``), noise is a latent: unit noise of the card's ``latent`` (1, C, h, w)
    with the prompt's ``pooled`` (1, P) at each place of it, (1, C + P, h, w), decodes to a picture.
    """

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, H, W) float32 in 0..1."""
        ...


class Memory(Protocol):
    """What a model remembers of one sequence; the engine keeps it and looks at nothing but its size."""

    @property
    def nbytes(self) -> int:
        """Bytes on its device."""
        ...


@runtime_checkable
class Continues(Protocol):
    """Capability ``next_tokens``; with ``encode_text`` and ``decode`` too, a latent is tokens: (1, 1, h, w) int64 of the card's ``latent``,
    drawn in reading order, each given all before it. With ``encode_image`` they are had of a picture, so that some can be kept.
    """

    def begin(self, cond: Conditioning) -> tuple[Any, Tensor]:
        """The `Memory` of a sequence that begins with ``cond``, and the logits (V,) of its first token."""
        ...

    def proceed(self, memories: Sequence[Any], tokens: Sequence[int]) -> Tensor:
        """Take one token into each memory, wherever its sequence stands; the logits (B, V) of those that follow. A row alone gives equal
        bits each time.
        """
        ...


@runtime_checkable
class EncodesImages(Protocol):
    """Capability ``encode_image``."""

    def encode_image(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> latents (B, C, h, w); the distribution's mean, never a sample."""
        ...


@runtime_checkable
class Embeds(Protocol):
    """Capability ``embed``: pictures and texts as vectors of one space, whose product says how well they fit."""

    def embed_images(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """Pictures uint8 (H, W, 3) of any sizes -> unit vectors (N, D) float32 on the CPU."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts -> unit vectors (N, D) float32 on the CPU."""
        ...


@runtime_checkable
class Applies(Protocol):
    """A model with methods of its own, called by `gesso.engine.Apply`. ``methods`` maps a name to whether it is pure CPU work that
    may run on the thread pool beside the device. Known names: ``render`` (capability ``render``: prompt, width, height, seed, tile ->
    `gesso.media.Rendered`) and ``material_maps`` (capability ``material_maps``: the same inputs -> `gesso.media.MaterialMaps`),
    ``find_maps`` (capability ``find_maps``: picture, float32 (H, W, 3) in 0..1, and tile -> `gesso.media.MaterialMaps`), and ``begin``
    and ``step`` (capability ``paint``: prompt, negative, width, height, steps, guidance, seed, and image, which is None or
    (1, 3, H, W) in 0..1 for those that ``instruct`` -> `gesso.model.Painting`, and that as ``painting`` -> `gesso.model.Stage`),
    ``embedding`` (capability ``imagine``: x, what a prior sampled -> (1, D); see `gesso.model.Cascade`), ``stylise`` (capability
    ``stylise``: content, styles, regions, strength, seed, tile -> a picture (1, 3, H, W) in 0..1), and those of
    `gesso.model.features` (capability ``features``).
    """

    methods: Mapping[str, bool]

    def apply(self, method: str, inputs: Mapping[str, Any]) -> Any:
        """Run one method on one set of inputs."""
        ...


class Family(Protocol):
    """What a plugin registers: how to recognise, describe and load one kind of model."""

    name: str

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card, from configuration files and headers only; raise ModelError with the fix."""
        ...

    def load(self, card: ModelCard, on: device) -> Model:
        """Read the weights (safetensors only) and move them to the device."""
        ...


@runtime_checkable
class Frugal(Protocol):
    """A family that can hold its models in less room, or run them in another form, than `Family.load` does."""

    def load_frugally(self, card: ModelCard, on: device, thrift: Thrift) -> Model:
        """Read the weights and hold them as ``thrift`` says; of what it cannot do there, nothing."""
        ...
