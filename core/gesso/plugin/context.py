"""The contexts through which plugins meet Gesso and one another. They are protocols: the worker supplies them, tests fake them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gesso.plugin.specs import GuidanceSpec, SamplerSpec, ScheduleSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gesso.manifest import Manifest
    from gesso.media.images import Picture
    from gesso.model import ModelCard
    from gesso.plugin.choosing import Scores
    from gesso.plugin.scoring import ScorerSpec
    from gesso.plugin.styles import StyleSpec
    from gesso.plugin.upscaling import UpscalerSpec

Level = Literal["exact", "fast"]


@dataclass(frozen=True)
class Places:
    """Where a job may keep files, in a `gesso.engine.Host`; None where there is no such place. folder: the job's own, not made yet, which
    outlives the worker and goes when the job ends. models: the owner's list of models, which `gesso.library` writes.
    """

    folder: Path | None = None
    models: Path | None = None


@dataclass(frozen=True)
class PluginContext:
    """Given to every registering hook. ``plugin`` is the plugin's own name; fields may be added, never removed."""

    plugin: str
    manifest: Manifest
    options: Mapping[str, Any]


class ResolveContext(Protocol):
    """What `Operation.resolve` may look at. Names may be aliases; an unknown one raises InvalidRequest with the nearest names."""

    level: Level

    def sampler(self, name: str) -> SamplerSpec:
        """The sampler of that name or alias."""
        ...

    def schedule(self, name: str) -> ScheduleSpec:
        """The schedule of that name or alias."""
        ...

    def guidance(self, name: str) -> GuidanceSpec:
        """The guidance of that name or alias."""
        ...

    def scorer(self, name: str | None) -> ScorerSpec:
        """The scorer of that name or alias; None means one that compares with the prompt, where there is one."""
        ...

    def style(self, name: str) -> StyleSpec:
        """The style of that name or alias."""
        ...

    def upscaler(self, name: str) -> UpscalerSpec:
        """The upscaler of that name or alias."""
        ...

    def options(self, kind: str, name: str) -> Mapping[str, Any]:
        """The owner's settings of the plugin that registered the thing of that kind (a heading of ``provides``) and canonical name."""
        ...

    def sampling(self, sampler: str, schedule: str | None) -> tuple[str, str | None]:
        """Canonical names; a label such as "DPM++ 2M Karras" gives both. A schedule that was named wins over the label's."""
        ...

    def model(self, name: str | None, *, capability: str | None = None) -> ModelCard:
        """The card of a model; None means the owner's default model (the first that has ``capability``)."""
        ...

    def warn(self, message: str) -> None:
        """Add a sentence for the user to the result's warnings."""
        ...


class JobContext(ResolveContext, Protocol):
    """What `Operation.run` may use: the same, the job's inputs, and where it may keep files."""

    places: Places

    def blob(self, sha256: str) -> Picture:
        """An input that the request named: a file's bytes, or planes where another operation kept them. What reads pictures takes both."""
        ...

    def keep(self, picture: Picture) -> Mapping[str, str]:
        """A picture made in this job as the input of another operation: ``{"sha256": ...}``, for as long as the job lasts. Planes are
        handed over as they are, and are not to be changed any more.
        """
        ...

    def operation(self, name: str, params: Mapping[str, Any]) -> Generator[Any, Any, Any]:
        """Another operation as a sub-generator: ``outputs = yield from ctx.operation("generate", {...})``."""
        ...

    def scores(
        self,
        weights: Mapping[str, float],
        pictures: Sequence[npt.NDArray[np.uint8]],
        *,
        prompt: str = "",
        tile: str = "none",
        progress: float = 1.0,
    ) -> Generator[Any, Any, Sequence[Scores]]:
        """What scorers say of pictures uint8 (H, W, 3), combined by weights. A scorer that fails costs its score and a warning."""
        ...
