"""What an operation sees of the worker: names through the registry, cards, its own inputs, other operations. It reads no clock."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from typing import Any

import numpy as np

from gesso.errors import BlobMissing, InvalidRequest
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
)
from gesso.plugin.choosing import Scores
from gesso.plugin.operations import validated
from gesso.scoring import Pictures, Shown, scored
from gesso.worker.models import WorkerCatalogue


class WorkerContext:
    """A `gesso.plugin.JobContext`. ``models`` collects the digests of the models that were looked at; ``warnings`` the sentences."""

    def __init__(
        self, registry: Registry, catalogue: WorkerCatalogue, level: Level, blobs: Mapping[str, bytes], places: Places | None = None
    ) -> None:
        self.level: Level = level
        self.places = places or Places()
        self.models: dict[str, str] = {}
        self.warnings: list[str] = []
        self._registry = registry
        self._catalogue = catalogue
        self._blobs: dict[str, Picture] = dict(blobs)

    def sampler(self, name: str) -> SamplerSpec:
        """The sampler of that name or alias."""
        return self._registry.sampler(name)

    def schedule(self, name: str) -> ScheduleSpec:
        """The schedule of that name or alias."""
        return self._registry.schedule(name)

    def guidance(self, name: str) -> GuidanceSpec:
        """The guidance of that name or alias."""
        return self._registry.guidance(name)

    def scorer(self, name: str | None) -> ScorerSpec:
        """The scorer of that name or alias, or the one to take where none is named."""
        return self._registry.scorer(name)

    def style(self, name: str) -> StyleSpec:
        """The style of that name or alias."""
        return self._registry.style(name)

    def upscaler(self, name: str) -> UpscalerSpec:
        """The upscaler of that name or alias."""
        return self._registry.upscaler(name)

    def options(self, kind: str, name: str) -> Mapping[str, Any]:
        """The owner's settings of the plugin behind a name."""
        return self._registry.options_of(kind, name)

    def sampling(self, sampler: str, schedule: str | None) -> tuple[str, str | None]:
        """Canonical names of both."""
        return self._registry.sampling(sampler, schedule)

    def model(self, name: str | None, *, capability: str | None = None) -> ModelCard:
        """The card of a model, or of the first that has ``capability``."""
        card = self._catalogue.default(capability) if name is None else self._catalogue.card(name)
        if capability is not None and capability not in card.capabilities:
            able = [entry.name for entry in self._catalogue.entries if capability in entry.capabilities]
            hint = f"These can: {', '.join(able)}." if able else "No model here can: `gesso models add` takes in a checkpoint."
            raise InvalidRequest(f"The model {card.name!r} cannot do {capability!r}.", field="model", hint=hint)
        self.models[card.name] = card.digest
        return card

    def warn(self, message: str) -> None:
        """Add a sentence to the result's warnings, once."""
        if message not in self.warnings:
            self.warnings.append(message)

    def blob(self, sha256: str) -> Picture:
        """An input that the request named."""
        if sha256 not in self._blobs:
            raise BlobMissing(f"The input {sha256[:12]} is not one that the request named.", details={"missing": [sha256]})
        return self._blobs[sha256]

    def keep(self, picture: Picture) -> Mapping[str, str]:
        """A picture made in this job as the input of another operation."""
        if isinstance(picture, bytes):
            name = hashlib.sha256(picture)
        else:
            name = hashlib.sha256(repr(picture.shape).encode())
            name.update(np.ascontiguousarray(picture).data)
        sha256 = name.hexdigest()
        self._blobs[sha256] = picture
        return {"sha256": sha256}

    def operation(self, name: str, params: Mapping[str, Any]) -> Generator[Any, Any, Any]:
        """Another operation as a sub-generator."""
        operation = self._registry.operation(name)
        resolved = operation.resolve(self, validated(operation, params))
        return (yield from operation.run(self, resolved))

    def scores(
        self, weights: Mapping[str, float], pictures: Pictures, *, prompt: str = "", tile: str = "none", progress: float = 1.0
    ) -> Generator[Any, Any, list[Scores]]:
        """What scorers say of pictures, combined by weights."""
        return (yield from scored(self, weights, Shown(pictures, prompt, tile, progress)))


def _is_a_job_context(context: WorkerContext) -> JobContext:
    return context
