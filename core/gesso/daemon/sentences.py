"""Turns the validator's faults into sentences for the user: what is wrong, what is allowed, what to do. It judges nothing itself."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest

if TYPE_CHECKING:
    import jsonschema_rs

_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_SHOWN = 60
_Phrase = Callable[[Any, str], str]
_BOUNDS: Mapping[str, _Phrase] = {
    "minimum": lambda kind, got: f"must be at least {kind.limit}, not {got}",
    "maximum": lambda kind, got: f"must be at most {kind.limit}, not {got}",
    "exclusiveMinimum": lambda kind, got: f"must be more than {kind.limit}, not {got}",
    "exclusiveMaximum": lambda kind, got: f"must be less than {kind.limit}, not {got}",
    "multipleOf": lambda kind, got: f"must be a multiple of {kind.multiple_of:g}, not {got}",
    "minLength": lambda kind, _: "must not be empty" if kind.limit == 1 else f"must have at least {kind.limit} characters",
    "maxLength": lambda kind, _: f"may have at most {kind.limit} characters",
    "minItems": lambda kind, _: f"needs at least {kind.limit} entries",
    "maxItems": lambda kind, _: f"may have at most {kind.limit} entries",
    "enum": lambda kind, got: f"must be one of {_listed(kind.options)}, not {got}",
    "const": lambda kind, got: f"must be {_short(kind.expected_value)}, not {got}",
    "pattern": lambda kind, got: f"must match {kind.pattern}, and {got} does not" if kind.pattern != r"\S" else "must not be blank",
    "type": lambda kind, got: f"must be {' or '.join(_TYPES.get(name, name) for name in kind.types if name != 'null')}, not {got}",
}


def refusal(fault: jsonschema_rs.ValidationError, known: Sequence[str]) -> InvalidRequest:
    """The error for one fault; ``known`` are the operation's parameters."""
    path = ".".join(str(part) for part in fault.instance_path)
    name = str(fault.kind.name)
    detail: Any = fault.kind
    if name == "required":
        field = f"{path}.{detail.property}" if path else str(detail.property)
        return InvalidRequest(f"{field} is missing.", field=field)
    if name == "additionalProperties":
        return _unexpected(path, str(detail.unexpected[0]), known)
    phrase = _BOUNDS.get(name)
    if phrase is None:
        return InvalidRequest(f"{path or 'params'} is not allowed: {fault.message[:200]}.", field=path or "params")
    return InvalidRequest(f"{path or 'params'} {phrase(detail, _short(fault.instance))}.", field=path or "params")


def _unexpected(path: str, name: str, known: Sequence[str]) -> InvalidRequest:
    field = f"{path}.{name}" if path else name
    near = difflib.get_close_matches(name, known, n=1) if not path else []
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return InvalidRequest(f"There is no parameter {name[:_SHOWN]!r} here.{meant}", field=field, details={"nearest": near})


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _listed(options: Any) -> str:
    return ", ".join(_short(option) for option in options if option is not None)
