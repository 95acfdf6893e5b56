"""Lifecycle: what a plugin registers to be told when a worker starts and when a model is loaded."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gesso.model import ModelCard
    from gesso.plugin.context import JobContext


@dataclass(frozen=True)
class WorkerEvent:
    """A worker is ready. Fields may be added, never removed.

    job: models by name. options: the owner's settings of the plugin. folder: where the plugin may keep files, made already; None where the
    worker has no state directory.
    """

    job: JobContext
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None


@dataclass(frozen=True)
class ModelEvent:
    """A model was loaded. Fields may be added, never removed."""

    card: ModelCard
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None


class Lifecycle:
    """Override what is of interest; events of later versions do nothing by default. What an event raises is logged, and hurts nobody."""

    name: str
    title: str

    def worker_started(self, ctx: WorkerEvent) -> Generator[Any, Any, None] | None:  # noqa: ARG002  (for those who override it)
        """The worker is ready for jobs. A generator that is returned runs as a job of low priority: its calls warm up what they use."""
        return None

    def model_loaded(self, ctx: ModelEvent) -> None:
        """The weights of a model came onto the device. It runs between two forwards and must take no time."""
