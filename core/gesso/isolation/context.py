"""What an isolated operation sees: the contexts of `gesso.plugin`, answered by the worker as far as files, models and inputs go. Samplers,
schedules and guidances are Gesso's own and the plugin's, imported here, so that their steps cross to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from gesso.manifest import first_party
from gesso.media.images import Picture
from gesso.model import ModelCard
from gesso.plugin import (
    GuidanceSpec,
    JobContext,
    Level,
    Places,
    Registry,
    SamplerSpec,
    ScheduleSpec,
    ScorerSpec,
    StyleSpec,
    UpscalerSpec,
    build_plugins,
)
from gesso.plugin.choosing import Scores
from gesso.scoring import Pictures, Shown, scored


@dataclass(frozen=True)
class Delegated:
    """Another operation, which the worker runs."""

    name: str
    params: Mapping[str, Any]


class RemoteContext:
    """A `gesso.plugin.JobContext`. ``ask(method, arguments)`` reaches the worker's own."""

    def __init__(self, ask: Callable[[str, Any], Any], own: Registry, level: Level) -> None:
        self.level: Level = level
        self.places = Places()
        self._ask = ask
        self._own = own

    def sampler(self, name: str) -> SamplerSpec:
        """The plugin's own sampler, or Gesso's."""
        return self._own.sampler(name) if name in self._own.samplers else _gesso().sampler(name)

    def schedule(self, name: str) -> ScheduleSpec:
        """The plugin's own schedule, or Gesso's."""
        return self._own.schedule(name) if name in self._own.schedules else _gesso().schedule(name)

    def guidance(self, name: str) -> GuidanceSpec:
        """One of Gesso's guidances."""
        return _gesso().guidance(name)

    def scorer(self, name: str | None) -> ScorerSpec:
        """One of Gesso's scorers."""
        return _gesso().scorer(name)

    def style(self, name: str) -> StyleSpec:
        """One of Gesso's styles."""
        return _gesso().style(name)

    def upscaler(self, name: str) -> UpscalerSpec:
        """One of Gesso's upscalers."""
        return _gesso().upscaler(name)

    def options(self, kind: str, name: str) -> Mapping[str, Any]:
        """The owner's settings of the plugin behind a name."""
        found: Mapping[str, Any] = self._ask("options", [kind, name])
        return found

    def sampling(self, sampler: str, schedule: str | None) -> tuple[str, str | None]:
        """Canonical names of both."""
        found: list[Any] = self._ask("sampling", [sampler, schedule])
        return found[0], found[1]

    def model(self, name: str | None, *, capability: str | None = None) -> ModelCard:
        """The card of a model."""
        card: ModelCard = self._ask("model", [name, capability])
        return card

    def warn(self, message: str) -> None:
        """Add a sentence to the result's warnings."""
        self._ask("warn", [message])

    def blob(self, sha256: str) -> Picture:
        """An input that the request named."""
        content: Picture = self._ask("blob", [sha256])
        return content

    def keep(self, picture: Picture) -> Mapping[str, str]:
        """A picture made in this job as the input of another operation."""
        kept: Mapping[str, str] = self._ask("keep", [picture])
        return kept

    def operation(self, name: str, params: Mapping[str, Any]) -> Generator[Any, Any, Any]:
        """Another operation, run by the worker."""
        return (yield Delegated(name, params))

    def scores(
        self, weights: Mapping[str, float], pictures: Pictures, *, prompt: str = "", tile: str = "none", progress: float = 1.0
    ) -> Generator[Any, Any, list[Scores]]:
        """What Gesso's scorers say; they run here, and their calls in the worker."""
        return (yield from scored(self, weights, Shown(pictures, prompt, tile, progress)))


@cache
def _gesso() -> Registry:
    """The first-party plugins, imported when the first of their names is used."""
    return build_plugins(first_party())


def _is_a_job_context(context: RemoteContext) -> JobContext:
    return context
