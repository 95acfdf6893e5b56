"""Captioned images for training, as a protocol: a source draws samples from a generator that the caller owns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

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


class MappedImage(CaptionedImage, Protocol):
    """One sample with the material behind the picture."""

    @property
    def maps(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """(S, S) each: ``height`` as a share of the picture's side, ``roughness`` and ``metallic`` in 0..1, aligned with the image."""
        ...


@runtime_checkable
class MappedSource(Protocol):
    """A source that also knows the maps of what it shows."""

    def sample_maps(self, rng: np.random.Generator, size: int, materials: Sequence[str] | None = None) -> MappedImage:
        """Like ``sample``: the same generator state gives the same picture, here with its maps."""
        ...


@runtime_checkable
class LaidOutSource(Protocol):
    """A source whose variety can be held down for small models."""

    def with_layouts(self, count: int) -> CaptionedSource:
        """The same source, showing only ``count`` layouts of each of its subjects, always at the same place of the tile."""
        ...


@runtime_checkable
class VariedSource(MappedSource, Protocol):
    """A source with maps that can also show materials that nobody wrote: relief of one, colours of another."""

    def with_variety(self, share: float) -> MappedSource:
        """The same source, so ``share`` (0..1) of whose samples with maps are such."""
        ...


@runtime_checkable
class PromptedSource(Protocol):
    """A source that also knows what a prompt asks for."""

    def picture(self, prompt: str, size: int, seed: int) -> npt.NDArray[np.uint8]:
        """The picture of ``prompt``, uint8 (size, size, 3) sRGB; ``seed`` chooses what the words leave open."""
        ...
