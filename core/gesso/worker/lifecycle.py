"""Tells plugins what happens to the worker: that it started, that a model was loaded. What they raise is logged and hurts nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from gesso.engine import Ticket
from gesso.model import ModelCard
from gesso.plugin import Lifecycle, ModelEvent, Registry, WorkerEvent
from gesso.worker.context import WorkerContext
from gesso.worker.models import WorkerCatalogue

_log = logging.getLogger(__name__)
MARK = "lifecycle:"
"""Before the ids of jobs that are nobody's: no client, no lease, no place in the black box."""


class Announcer:
    """``folder``: where plugins may keep files. ``guarded(name)``: a context around what a plugin of that name does at the start, which may
    be the end of the process.
    """

    def __init__(self, registry: Registry, folder: Path | None, guarded: Callable[[str], AbstractContextManager[None]]) -> None:
        self.registry = registry
        self._folder = folder
        self._guarded = guarded

    def started(self, catalogue: WorkerCatalogue) -> Iterator[tuple[Ticket, Generator[Any, Any, Any]]]:
        """The jobs that plugins want to run now that the worker is ready."""
        for each in self.registry.lifecycles:
            if type(each).worker_started is not Lifecycle.worker_started:
                plugin = self.registry.lifecycles.plugin_of(each.name)
                ctx = WorkerContext(self.registry, catalogue, "exact", {})
                event = WorkerEvent(ctx, self.registry.options_of("lifecycles", each.name), self._place(plugin))
                title = f"what {plugin!r} does when the worker starts"
                yield Ticket(job=f"{MARK}{each.name}", title=title, plugin=plugin), self._start(each, plugin, event)

    def loaded(self, card: ModelCard) -> None:
        """A model's weights are on the device."""
        for each in self.registry.lifecycles:
            plugin = self.registry.lifecycles.plugin_of(each.name)
            self._tell(each, plugin, ModelEvent(card, self.registry.options_of("lifecycles", each.name), self._place(plugin)))

    def _tell(self, each: Lifecycle, plugin: str, event: ModelEvent) -> None:
        try:
            each.model_loaded(event)
        except (Exception, SystemExit):
            _log.exception("the plugin %s failed when it was told that %s was loaded", plugin, event.card.name)

    def _start(self, each: Lifecycle, plugin: str, event: WorkerEvent) -> Generator[Any, Any, None]:
        with self._guarded(plugin):
            job = each.worker_started(event)
            if job is not None:
                yield from job

    def _place(self, plugin: str) -> Path | None:
        if self._folder is None:
            return None
        place = self._folder / plugin
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        return place
