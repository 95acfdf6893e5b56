"""Registers the preloader: an idle worker imports what a model needs and loads its weights before the first job asks."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from gesso.engine import CallError, Load, ModelRef
from gesso.errors import PluginError
from gesso.plugin import Lifecycle, ModelEvent, WorkerEvent, hookimpl

LAST = "last"


class Preload(Lifecycle):
    """Off unless the owner says which."""

    name = "preload"
    title = "Preload models"

    def worker_started(self, ctx: WorkerEvent) -> Generator[Any, Any, None] | None:
        """Load the models that the owner names."""
        names = self._names(ctx.options.get("preload", []), ctx.folder)
        return _loads(ctx, names) if names else None

    def model_loaded(self, ctx: ModelEvent) -> None:
        """Remember it for the next start."""
        if ctx.options.get("preload") == LAST and ctx.folder is not None:
            (ctx.folder / LAST).write_text(ctx.card.name, encoding="utf-8")

    def _names(self, said: object, folder: Path | None) -> list[str]:
        if said == LAST:
            return [(folder / LAST).read_text(encoding="utf-8")] if folder is not None and (folder / LAST).exists() else []
        if isinstance(said, list) and all(isinstance(name, str) for name in said):
            return said
        raise PluginError(f'In config.toml, plugins.residency needs preload = ["model", ...] or "last", not {said!r}.')


def _loads(ctx: WorkerEvent, names: Iterable[str]) -> Generator[Any, Any, None]:
    for name in names:
        card = ctx.job.model(name)
        try:
            yield Load(ModelRef(card.name, card.digest))
        except CallError as fault:
            raise PluginError(f"The model {name!r} was not preloaded: {fault}") from fault


@hookimpl
def gesso_lifecycle() -> Iterable[Lifecycle]:
    """The preloader."""
    return [Preload()]
