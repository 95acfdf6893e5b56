"""How data names a model: by name and by content, never by an object."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelRef:
    """A model by name and content digest; the same digest is the same weights."""

    name: str
    digest: str
