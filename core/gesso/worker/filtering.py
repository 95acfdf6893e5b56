"""Runs the filters that plugins registered: on every request before it is resolved, on every result before it is encoded.

What a filter raises ends the job: what it should have kept back must not slip through.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from gesso.errors import GessoError, PluginError
from gesso.media import Output
from gesso.plugin import FilterSpec, JobContext, Registry, RequestContext, ResultContext


def before(registry: Registry, operation: str, params: Mapping[str, Any], warn: Callable[[str], None]) -> Mapping[str, Any]:
    """The parameters after every filter that is heard before generation."""
    for spec in registry.filters_of("before"):
        try:
            changed = spec.function(RequestContext(operation, params, warn, registry.options_of("filters", spec.name)))
        except (Exception, SystemExit) as fault:
            raise _blamed(registry, spec, fault) from fault
        if changed is not None and not isinstance(changed, Mapping):
            raise _fault(registry, spec, f"returned {type(changed).__name__} where parameters were expected")
        params = params if changed is None else changed
    return params


def after(
    registry: Registry, ctx: JobContext, operation: str, params: Mapping[str, Any], outputs: Sequence[Output]
) -> Generator[Any, Any, Sequence[Output]]:
    """The pictures after every filter that is heard after generation."""
    for spec in registry.filters_of("after"):
        seen = ResultContext(ctx, operation, params, outputs, registry.options_of("filters", spec.name))
        try:
            found = yield from spec.function(seen)
        except (Exception, SystemExit) as fault:
            raise _blamed(registry, spec, fault) from fault
        if not (isinstance(found, Sequence) and len(found) == len(outputs) and all(isinstance(each, Output) for each in found)):
            raise _fault(registry, spec, f"did not return {len(outputs)} outputs for the {len(outputs)} that it was given")
        outputs = found
    return outputs


def _blamed(registry: Registry, spec: FilterSpec, fault: BaseException) -> BaseException:
    """A refusal or a failed call as it is; anything else as the filter's fault."""
    from gesso.engine import CallError

    if isinstance(fault, (GessoError, CallError, MemoryError)):
        return fault
    return _fault(registry, spec, f"failed with {type(fault).__name__}: {' '.join(str(fault).split())[:200] or 'no message'}")


def _fault(registry: Registry, spec: FilterSpec, what: str) -> PluginError:
    plugin = registry.filters.plugin_of(spec.name)
    return PluginError(f"The filter {spec.name!r} of the plugin {plugin!r} {what}.", details={"plugin": plugin})
