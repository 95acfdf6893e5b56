"""Patches: changes to a model that belong to a job (seamless padding, LoRAs). Injecting and ejecting restores bit-equal behaviour."""

from __future__ import annotations

from dataclasses import dataclass


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
