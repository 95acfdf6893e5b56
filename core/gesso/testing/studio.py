"""Runs operations, scorers and upscalers in the real engine, in this process: the worker without its processes and sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gesso import manifest as manifests
from gesso.device.residency import ModelPool
from gesso.engine import Ended, Engine, Hooks, Job, Ticket
from gesso.manifest import ModelEntry
from gesso.media import Output
from gesso.plugin import Level, OperationParams, Places, Registry, add_stranger, build_plugins
from gesso.plugin.operations import validated
from gesso.strangers import Stranger
from gesso.worker.context import WorkerContext
from gesso.worker.models import WorkerCatalogue

CAPABILITIES = ("encode_text", "denoise", "decode", "encode_image")


@dataclass
class Made:
    """What one operation made."""

    params: OperationParams
    outputs: Sequence[Output]
    warnings: list[str]
    events: list[Any] = field(default_factory=list)


class Studio:
    """A registry of plugins and an engine on the processor. ``registry`` None: the plugins that ship with Gesso. ``level``: of its jobs.
    ``places``: where they may keep files, nowhere at first.
    """

    def __init__(self, registry: Registry | None = None, level: Level = "exact") -> None:
        self.level: Level = level
        self.registry = build_plugins(manifests.first_party()) if registry is None else registry
        self.catalogue = WorkerCatalogue(self.registry)
        self.pool = ModelPool(self.catalogue, torch.device("cpu"))
        self.threads = ThreadPoolExecutor(1)
        self.places = Places()

    def close(self) -> None:
        """End its threads."""
        self.threads.shutdown()

    def plugin(self, manifest: Path, options: Mapping[str, Any] | None = None) -> None:
        """Take in the plugin that a `plugin_manifest.toml` declares, as when its owner enabled it: what it calls x is ``plugin.x``. Raises
        AssertionError with its first fault.
        """
        declared = manifests.read(manifest)
        state = add_stranger(self.registry, Stranger(declared.plugins[0], models=declared.models), options=options)
        assert not state.faults, state.faults[0].message + "\n" + state.faults[0].traceback
        self.catalogue.use(self.registry)

    def add(self, name: str, path: Path, family: str = "stable-diffusion") -> None:
        """Declare one more model."""
        self.registry.models = (*self.registry.models, ModelEntry(name, family, name.title(), path, CAPABILITIES))

    def context(self, blobs: Mapping[str, bytes] | None = None) -> WorkerContext:
        """A job's context."""
        return WorkerContext(self.registry, self.catalogue, self.level, blobs or {}, self.places)

    def resolve(self, operation: str, params: Mapping[str, Any]) -> tuple[OperationParams, list[str]]:
        """The complete parameters and the warnings."""
        ctx = self.context()
        thing = self.registry.operation(operation)
        return thing.resolve(ctx, validated(thing, params)), ctx.warnings

    def make(self, operation: str, params: Mapping[str, Any], blobs: Mapping[str, bytes] | None = None) -> Made:
        """Resolve and run; raises what the job failed with. ``blobs``: the inputs by their SHA-256."""
        ctx = self.context(blobs)
        thing = self.registry.operation(operation)
        resolved = thing.resolve(ctx, validated(thing, params))
        events: list[Any] = []
        outputs = self.run(thing.run(ctx, resolved), events)
        return Made(resolved, outputs, ctx.warnings, events)

    def run(self, job: Job, events: list[Any] | None = None) -> Any:
        """The value of a generator in the engine."""
        seen: list[Any] = [] if events is None else events
        engine = Engine(self.pool, self.threads, Hooks(lambda _, event: seen.append(event)))
        engine.start(Ticket("job", level=self.level), job)
        engine.run()
        end = seen.pop()
        assert isinstance(end, Ended)
        if end.error is not None:
            raise end.error
        return end.value
