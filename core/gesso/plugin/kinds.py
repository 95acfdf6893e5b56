"""The kinds of things that plugins register: by which hook, under which heading of the manifest, and what is wrong with one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gesso.plugin.codecs import CodecSpec
from gesso.plugin.commands import CommandSpec
from gesso.plugin.filters import FilterSpec
from gesso.plugin.lifecycle import Lifecycle
from gesso.plugin.previews import PreviewSpec
from gesso.plugin.scoring import ScorerSpec
from gesso.plugin.specs import GuidanceSpec, SamplerSpec, ScheduleSpec
from gesso.plugin.styles import SUBJECT, StyleSpec
from gesso.plugin.upscaling import UpscalerSpec


@dataclass(frozen=True)
class Kind:
    """One hook and how what it returns is checked and entered. ``check`` returns a fault, or an empty string. ``spec``: the type of things
    that a single file may leave bare, without the hook.
    """

    hook: str
    provides: str
    check: Callable[[Any], str]
    aliases: Callable[[Any], tuple[str, ...]] = field(default=lambda _: ())
    spec: type[Any] | None = None


SAMPLES = ("uint8", "uint16", "float16", "float32")
"""Types of samples that a picture may have."""


def said(fault: BaseException) -> str:
    """An exception on one line."""
    text = " ".join(str(fault).split()).rstrip(".")
    return f"{type(fault).__name__}: {text}" if text else type(fault).__name__


def _titled(thing: Any) -> tuple[str, ...]:
    return (thing.title, *thing.aliases)


def _lacks(thing: object, *names: str) -> str:
    missing = [name for name in names if not callable(getattr(thing, name, None))]
    return f"has no method {missing[0]}()" if missing else ""


def _is(kind: type[Any], remedy: str) -> Callable[[Any], str]:
    """A check that a thing is of a type, named with its article."""
    return lambda thing: "" if isinstance(thing, kind) else f"is no {kind.__name__}; {remedy}"


def _check_operation(thing: Any) -> str:
    from gesso.plugin.operations import OperationParams  # brings pydantic along

    params = getattr(thing, "Params", None)
    if isinstance(thing, type):
        return "is a class; register an instance"
    if not (isinstance(params, type) and issubclass(params, OperationParams)):
        return "has no Params that derive from gesso.plugin.OperationParams"
    if not isinstance(getattr(thing, "title", None), str):
        return "has no title"
    return _lacks(thing, "resolve", "run")


def _check_guidance(thing: Any) -> str:
    if not isinstance(thing, GuidanceSpec):
        return "is no GuidanceSpec; decorate it with gesso.plugin.guidance"
    takes = list(inspect.signature(thing.function).parameters.values())[1:]
    bare = [option.name for option in takes if option.default is option.empty or option.annotation is option.empty]
    if bare:
        return f"needs an annotation and a default for its option {bare[0]!r}"
    try:
        thing.options()
    except Exception as fault:  # annotations are a plugin's code as much as its body
        return f"has options that cannot be read: {said(fault)}"
    return ""


def _check_style(thing: Any) -> str:
    if not isinstance(thing, StyleSpec):
        return "is no StyleSpec; make it with gesso.plugin.StyleSpec"
    return "" if thing.prompt.count(SUBJECT) == 1 else f"needs {SUBJECT} once in its prompt"


def _check_codec(thing: Any) -> str:
    if not isinstance(thing, CodecSpec):
        return "is no CodecSpec; decorate it with gesso.plugin.codec"
    if not re.fullmatch(r"[a-z0-9]{1,8}", thing.ending):
        return f"has {thing.ending!r} as the ending of its files; it takes 1 to 8 small letters and digits"
    if unknown := [kind for kind in thing.holds if kind not in SAMPLES]:
        return f"holds {unknown[0]!r}; pictures have samples of {', '.join(SAMPLES)}"
    return "" if thing.holds else "holds no samples"


def _check_lifecycle(thing: Any) -> str:
    if isinstance(thing, type) or not isinstance(thing, Lifecycle):
        return "is no instance of gesso.plugin.Lifecycle"
    return "" if isinstance(getattr(thing, "title", None), str) else "has no title"


def _decorated(kind: type[Any], decorator: str) -> Callable[[Any], str]:
    return _is(kind, f"decorate it with gesso.plugin.{decorator}")


SPECS = (SamplerSpec, ScheduleSpec, GuidanceSpec, ScorerSpec, StyleSpec, UpscalerSpec, PreviewSpec, CodecSpec, FilterSpec, CommandSpec)
"""What is a frozen description, and can be copied under another name as such."""

ALL = (
    Kind("gesso_samplers", "samplers", _decorated(SamplerSpec, "sampler"), _titled, SamplerSpec),
    Kind("gesso_schedules", "schedules", _decorated(ScheduleSpec, "schedule"), _titled, ScheduleSpec),
    Kind("gesso_guidance", "guidances", _check_guidance, _titled, GuidanceSpec),
    Kind("gesso_operations", "operations", _check_operation),
    Kind("gesso_families", "families", lambda family: _lacks(family, "inspect", "load")),
    Kind("gesso_scorers", "scorers", _decorated(ScorerSpec, "scorer"), _titled, ScorerSpec),
    Kind("gesso_styles", "styles", _check_style, _titled, StyleSpec),
    Kind("gesso_upscalers", "upscalers", _decorated(UpscalerSpec, "upscaler"), _titled, UpscalerSpec),
    Kind("gesso_previews", "previews", _decorated(PreviewSpec, "preview"), _titled, PreviewSpec),
    Kind("gesso_codecs", "codecs", _check_codec, _titled, CodecSpec),
    Kind("gesso_filters", "filters", _decorated(FilterSpec, "request_filter or result_filter"), _titled, FilterSpec),
    Kind("gesso_commands", "commands", _decorated(CommandSpec, "command"), spec=CommandSpec),
    Kind("gesso_lifecycle", "lifecycles", _check_lifecycle),
    Kind("gesso_datasets", "datasets", lambda source: _lacks(source, "sample")),
    Kind("gesso_judges", "judges", lambda judge: _lacks(judge, "judge")),
)
