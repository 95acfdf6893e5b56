"""Makes options of an operation's parameters, and parameters of what was typed. It checks only what the wire could not carry."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gesso.cli.schema import SIZE, OperationSchema, Property
from gesso.errors import InvalidRequest, PluginError, UsageError

PREFIX = "param:"
"""Marks the destinations that are parameters in the parsed namespace, so that no parameter can meet an option of the job."""

JOB_FLAGS = frozenset({"output", "json", "detach", "level", "from", "quiet", "force", "credentials", "format", "pattern", "help"})
"""Options of every operation; a parameter may not take their names."""


LISTINGS = {
    "models": "models list",
    "styles": "styles list",
    "image_encoders": "models list --kind image_encoder",
    "style_networks": "models list --kind style_network",
    "ip_adapters": "models list --kind ip_adapter",
}
"""The commands that list a catalogue, where that is not its name."""


def integer(name: str, text: str) -> int:
    """What was typed for a whole number."""
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{name} must be a whole number, not {text!r}.", field=name) from None


def number(name: str, text: str) -> float:
    """What was typed for a number; NaN and infinity are refused here because JSON cannot carry them."""
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{name} must be a number, not {text!r}.", field=name) from None
    if not math.isfinite(value):
        raise InvalidRequest(f"{name} must be a finite number, not {text}.", field=name)
    return value


def size(text: str) -> tuple[int, int]:
    """``N`` or ``WxH`` -> (width, height)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise UsageError(f"size must be N or WxH in pixels, such as 512 or 768x512, not {text!r}.", field="size")
    return int(parts[0]), int(parts[-1])


def pair(name: str, text: str) -> tuple[tuple[str, ...], Any]:
    """``KEY=VALUE`` -> (path of keys, value); dots in the key nest, a value that reads as JSON is taken as such."""
    key, found, value = text.partition("=")
    if not found or not key:
        raise UsageError(f"{name} takes NAME=VALUE, not {text!r}.", field=name)
    try:
        parsed = json.loads(value, parse_constant=lambda constant: number(name, constant))
    except ValueError:
        parsed = value
    return tuple(key.split(".")), parsed


def weights(name: str, text: str) -> list[tuple[tuple[str, ...], Any]]:
    """``a=1,b=0.5`` -> numbers by name; a name may hold dots."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{name} takes NAME=NUMBER, several with commas between, not {text!r}.", field=name)
        found.append(((key.strip(),), number(name, value)))
    return found


def texts(name: str, text: str) -> list[str]:
    """A text, or ``@FILE`` for the lines of a file."""
    if not text.startswith("@"):
        return [text]
    try:
        lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        said = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise UsageError(f"The file {text[1:]} of {name} cannot be read: {said}.", field=name) from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise UsageError(f"The file {text[1:]} of {name} has no lines.", field=name)
    return found


def named_image(name: str, text: str) -> tuple[tuple[str, ...], str]:
    """``KEY=IMAGE`` -> (key, the image's path); a key may hold dots."""
    key, equals, path = text.partition("=")
    if not equals or not key or not path:
        raise UsageError(f"{name} takes NAME=IMAGE, not {text!r}.", field=name)
    return (key,), path


SCALARS: Mapping[str, Callable[[str, str], Any]] = {"integer": integer, "number": number}


def _scalar(kind: str, name: str) -> Callable[[str], Any]:
    convert = SCALARS.get(kind)
    return str if convert is None else partial(convert, name)


def add_parameters(parser: argparse.ArgumentParser, operation: OperationSchema) -> None:
    """Give the parser one option per parameter. Nothing has a default: what was not typed is not sent."""
    names = {p.name for p in operation.properties}
    sized = names.issuperset(SIZE)
    for parameter in operation.properties:
        if parameter.name.replace("_", "-") in JOB_FLAGS:
            raise PluginError(
                f"The operation {operation.name!r} calls a parameter {parameter.name!r}; the command line needs that name itself."
            )
        if sized and parameter.name in SIZE:
            if parameter.name == SIZE[0]:
                _add_size(parser, operation)
            continue
        _add(parser, parameter)


def _add_size(parser: argparse.ArgumentParser, operation: OperationSchema) -> None:
    width = next(p for p in operation.properties if p.name == SIZE[0])
    text = "width and height in pixels, one number for a square" + _bounds(width)
    parser.add_argument("--size", dest=f"{PREFIX}size", type=size, default=None, metavar="N|WxH", help=_escape(text))


def _add(parser: argparse.ArgumentParser, parameter: Property) -> None:
    keywords: dict[str, Any] = {"default": None, "help": _escape(help_text(parameter))}
    if parameter.positional or parameter.kind == "prompt":
        unflagged: dict[str, Any] = {"metavar": _metavar(parameter), "help": keywords["help"], "default": argparse.SUPPRESS}
        unflagged |= {"nargs": "*", "action": "extend"} if parameter.kind == "images" else {"nargs": "?"}
        parser.add_argument(f"{PREFIX}{parameter.name}", **unflagged)
    flags = [f"--{parameter.name.replace('_', '-')}"]
    if parameter.name == "count":
        flags.insert(0, "-n")
    keywords["dest"] = f"{PREFIX}{parameter.name}"
    if parameter.kind == "boolean":
        keywords["action"] = argparse.BooleanOptionalAction
    elif parameter.kind == "object":
        read, shown = (weights, "NAME=X,...") if parameter.weights else (pair, "NAME=VALUE")
        keywords.update(action="append", metavar=shown, type=partial(read, parameter.name))
    elif parameter.kind == "named_images":
        keywords.update(action="append", metavar="NAME=IMAGE", type=partial(named_image, parameter.name))
    elif parameter.kind == "array" and parameter.item == "string" and not (parameter.catalogue or parameter.choices):
        keywords.update(action="extend", metavar="TEXT|@FILE", type=partial(texts, parameter.name))
    elif parameter.kind in ("array", "images"):
        keywords.update(action="append", metavar=_metavar(parameter), type=_scalar(parameter.item, parameter.name))
    else:
        keywords.update(metavar=_metavar(parameter), type=_scalar(parameter.kind, parameter.name))
    parser.add_argument(*flags, **keywords)


def _metavar(parameter: Property) -> str:
    if parameter.choices:
        return "|".join(str(choice) for choice in parameter.choices if choice is not None)
    if parameter.kind in ("image", "images"):
        return "IMAGE"
    if parameter.kind == "prompt":
        return parameter.name.upper()
    if parameter.catalogue:
        return parameter.catalogue.removesuffix("s").upper()
    return {"integer": "N", "number": "X"}.get(parameter.item if parameter.kind == "array" else parameter.kind, "TEXT")


def help_text(parameter: Property) -> str:
    """One sentence of help: what it is, its bounds, where its names are listed, its default."""
    text = parameter.description or parameter.title
    text = text.split("\n\n")[0].replace("\n", " ").rstrip(".")
    text += _bounds(parameter)
    if parameter.catalogue:
        text += f" (see `gesso {LISTINGS.get(parameter.catalogue, parameter.catalogue)}`)"
    if parameter.default:
        text += f" (default: {parameter.default})"
    return text


def _bounds(parameter: Property) -> str:
    if parameter.kind not in ("integer", "number") or parameter.minimum is None or parameter.maximum is None:
        return ""
    return "" if parameter.maximum >= 2**31 else f" ({parameter.minimum:g} to {parameter.maximum:g})"


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def given(args: argparse.Namespace) -> dict[str, Any]:
    """The parameters that were typed, as the wire names them; images are still paths."""
    found: dict[str, Any] = {}
    for dest, value in vars(args).items():
        if not dest.startswith(PREFIX) or value is None:
            continue
        name = dest.removeprefix(PREFIX)
        if isinstance(value, tuple):  # --size of an operation with a width and a height; others may call a number so
            found.update(zip(SIZE, value, strict=True))
        elif isinstance(value, list) and value and isinstance(value[0], tuple):
            found[name] = _nest(value)
        elif isinstance(value, list) and value and isinstance(value[0], list):
            found[name] = _nest([pair for typed in value for pair in typed])
        else:
            found[name] = value
    return found


def _nest(pairs: Sequence[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path, value in pairs:
        table = root
        for key in path[:-1]:
            table = table.setdefault(key, {})
        table[path[-1]] = value
    return root
