"""Files that carry no recipe, for owners who hand pictures on without telling how they were made."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from gesso.errors import PluginError
from gesso.media import Output
from gesso.plugin import ResultContext, result_filter


@result_filter("private", title="No recipe in files", order=90)
def private(ctx: ResultContext) -> Generator[Any, Any, Sequence[Output]]:
    """Off unless the owner turns it on."""
    yield from ()
    on = ctx.options.get("private", False)
    if not isinstance(on, bool):
        raise PluginError(f"In config.toml, plugins.filters needs private = true or false, not {on!r}.")
    return [replace(output.noted("private", action="recipe left out"), signed=False) for output in ctx.outputs] if on else ctx.outputs
