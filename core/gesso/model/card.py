"""A model's card: what can be said of it from its configuration files alone, before any weight is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gesso.model.parametrisation import Parametrisation


@dataclass(frozen=True)
class Defaults:
    """What the model does best when the request is silent."""

    sampler: str = "dpmpp_2m"
    schedule: str = "karras"
    steps: int = 20
    guidance: float = 5.0
    width: int = 512
    height: int = 512


@dataclass(frozen=True)
class Limits:
    """The image sizes that the model can make, in pixels; both sides must be multiples of ``multiple``."""

    smallest: int = 64
    largest: int = 2048
    multiple: int = 8


@dataclass(frozen=True)
class Latent:
    """The space that a denoiser works in: ``channels`` planes, each side ``1 / factor`` of the picture's."""

    channels: int
    factor: int

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(C, h, w) for a picture of width x height pixels."""
        return self.channels, height // self.factor, width // self.factor


@dataclass(frozen=True)
class ModelCard:
    """Everything the job needs to know to be resolved and planned. ``capabilities`` are names of `gesso.model.capabilities`, snake_case.

    parametrisation and latent are set where the model can ``denoise``. options: the keys that ``options.<family>`` of a request may have.
    """

    name: str
    family: str
    digest: str
    title: str
    path: Path | None
    capabilities: frozenset[str]
    defaults: Defaults = Defaults()
    limits: Limits = Limits()
    licence: str = ""
    info: Mapping[str, str] = field(default_factory=dict)
    parametrisation: Parametrisation | None = None
    latent: Latent | None = None
    options: tuple[str, ...] = ()
