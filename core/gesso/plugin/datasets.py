"""Captioned images for training, as a protocol: a source draws samples from a generator that the caller owns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class CaptionedImage(Protocol):
    """One sample: image uint8 (S, S, 3) sRGB, its caption, and labels such as ``material`` and ``colour``."""

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """The picture."""
        ...

    @property
    def caption(self) -> str:
        """Its words."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """Its classes by name."""
        ...


class CaptionedSource(Protocol):
    """A named, endless source of captioned images."""

    @property
    def name(self) -> str:
        """The name on the command line."""
        ...

    def sample(self, rng: np.random.Generator, size: int, materials: Sequence[str] | None = None) -> CaptionedImage:
        """Draw one sample of ``size`` x ``size`` pixels; the same generator state gives the same sample."""
        ...
