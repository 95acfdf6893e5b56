"""Patches: changes to a model that belong to a job (seamless padding, LoRAs). Injecting and ejecting restores bit-equal behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gesso.model.ref import ModelRef


@dataclass(frozen=True)
class Patch:
    """Base of all patches. Equal patches are interchangeable; their order matters; ``digest`` enters the batching key."""

    @property
    def digest(self) -> str:
        """A stable name of this patch and its parameters."""
        return repr(self)


@dataclass(frozen=True)
class Seamless(Patch):
    """Wrap the picture around on the given axes (circular padding, or what the architecture needs for the same effect)."""

    x: bool
    y: bool


@dataclass(frozen=True)
class Adapter(Patch):
    """A patch with weights in a file of its own. The engine loads them and fills ``weights`` in for the time of a call."""

    model: ModelRef
    weights: Any = field(default=None, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Lora(Adapter):
    """Low-rank (or other) changes to the weights of the denoiser and the text encoders, times ``weight``."""

    weight: float = 1.0


@dataclass(frozen=True)
class Embedding(Adapter):
    """Textual inversion: ``word`` in a prompt stands for vectors of its own."""

    word: str


@dataclass(frozen=True)
class Shown(Patch):
    """The picture (1, 3, H, W) in 0..1 that words are heard with, where the model can (`see_image`); no two pictures have one ``name``."""

    name: str
    picture: Any = field(compare=False, repr=False)


@dataclass(frozen=True)
class Autoencoder(Adapter):
    """Another autoencoder for the same latents, in the place of the model's own."""
