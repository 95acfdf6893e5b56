"""Filters: what a plugin registers to look at every request before it is resolved, or at every result before it is stored.

A filter that fails fails its job: what it should have kept back must not slip through.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from gesso.media import Output
    from gesso.plugin.context import JobContext

When = Literal["before", "after"]


@dataclass(frozen=True)
class RequestContext:
    """A request before it is resolved. Fields may be added, never removed.

    params: as the client sent them, with literal defaults. options: the owner's settings of the plugin. warn: adds a sentence to the
    result's warnings.
    """

    operation: str
    params: Mapping[str, Any]
    warn: Callable[[str], None]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ResultContext:
    """The pictures of a job before they are encoded. Fields may be added, never removed.

    job: models, warnings. params: the complete parameters. options: the owner's settings of the plugin.
    """

    job: JobContext
    operation: str
    params: Mapping[str, Any]
    outputs: Sequence[Output]
    options: Mapping[str, Any] = field(default_factory=dict)


RequestFunction = Callable[[RequestContext], "Mapping[str, Any] | None"]
"""Returns the parameters to go on with, or None for those that came. Raises `gesso.errors.Refused` to refuse the request."""

ResultFunction = Callable[[ResultContext], Generator[Any, Any, "Sequence[Output]"]]
"""A generator that may yield calls and returns as many outputs as came, in their order: the same, or changed (`Output.noted` says what was
done). Raises `gesso.errors.Refused` to give none of them out."""


@dataclass(frozen=True)
class FilterSpec:
    """A filter and when it is heard. Filters of one kind run by ``order``, then by name."""

    name: str
    function: Callable[..., Any]
    title: str
    when: When
    order: int = 50
    aliases: tuple[str, ...] = ()


def request_filter(name: str, *, title: str, order: int = 50, aliases: Sequence[str] = ()) -> Callable[[RequestFunction], FilterSpec]:
    """Turn a function of a `RequestContext` into a filter before generation."""
    return lambda function: FilterSpec(name, function, title, "before", order, tuple(aliases))


def result_filter(name: str, *, title: str, order: int = 50, aliases: Sequence[str] = ()) -> Callable[[ResultFunction], FilterSpec]:
    """Turn a generator function of a `ResultContext` into a filter after generation."""
    return lambda function: FilterSpec(name, function, title, "after", order, tuple(aliases))
