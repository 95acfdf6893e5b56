"""How a model's networks are held and run on a device that has less room, or that runs some forms faster: what the owner wishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Offload = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class Thrift:
    """``workspace``: bytes that an autoencoder may take for what it computes on its way (0: all there are). ``offload``: whether of text
    encoders, denoiser and codec one is on the device at a time; ``auto`` where they do not fit together, which is settled before a model is
    loaded. ``int8``: the linear layers of the first two hold whole numbers. ``channels_last`` and ``compiled``: how denoiser and codec run.
    """

    workspace: int = 0
    offload: Offload = "auto"
    int8: bool = False
    channels_last: bool = False
    compiled: bool = False

    @property
    def bits(self) -> dict[str, int]:
        """What of it changes the bits of a result, for its environment."""
        said = {"workspace": self.workspace, "int8": self.int8, "channels_last": self.channels_last, "compiled": self.compiled}
        return {name: int(value) for name, value in said.items() if value}


@dataclass(frozen=True)
class Size:
    """How many numbers a part of a model has, and how many of them are the weights of linear layers, which `Thrift.int8` makes smaller."""

    numbers: int
    linear: int = 0

    def nbytes(self, number: int, *, int8: bool) -> int:
        """Bytes that they take where a number takes ``number``."""
        return self.numbers * number - (self.linear * (number - 1) if int8 else 0)
