"""A model's card: what can be said of it from its configuration files alone, before any weight is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


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
class ModelCard:
    """Everything the job needs to know to be resolved. ``capabilities`` are names of `gesso.model.capabilities`, snake_case."""

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
