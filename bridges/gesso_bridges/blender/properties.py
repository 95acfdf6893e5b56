# SPDX-License-Identifier: GPL-3.0-or-later
"""Forms as properties of Blender: one group of settings on the scene for each operation, and the same parameters for its operator."""

from __future__ import annotations

import re
import zlib
from typing import Any, Callable, Dict, List, Mapping, Tuple

import bpy

from gesso.errors import InvalidRequest

from ..panel.form import Choice, Field, Form, Surface, colour_to_rgb, json_to_text, rgb_to_colour, text_to_json

AUTOMATIC = "AUTOMATIC"
"""The entry of a drop-down list that stands for the model's own choice; an empty name would draw a heading."""
USE = "use_"
"""Prefix of the check box beside a number that may be left to the model."""


def identifier(text: str) -> str:
    """A name that Blender takes for operators and properties."""
    return re.sub(r"[^a-z0-9_]", "_", text.lower())


def group_name(operation: str) -> str:
    """The scene's property with the settings of an operation."""
    return f"gesso_{identifier(operation)}"


def declared(form: Form, surface: Surface, *, pointers: bool) -> Dict[str, Any]:
    """Property by name. ``pointers``: pictures are chosen from those of the file; without, they are named, as operators need it."""
    found: Dict[str, Any] = {}
    for field in form.fields:
        if field.kind == "hidden" and pointers:
            continue
        if pointers and field.optional and field.kind in ("integer", "number", "seed"):
            found[USE + field.name] = bpy.props.BoolProperty(
                name=f"Set {field.title.lower()}", description=f"Off: {_left_out(field)}", default=False
            )
        found[field.name] = _property(field, surface, pointers)
    return found


def _left_out(field: Field) -> str:
    return "chosen at random" if field.kind == "seed" else "what suits the model"


def _property(field: Field, surface: Surface, pointers: bool) -> Any:
    common = {"name": field.title, "description": field.help.rstrip(".")}
    made: Any = None
    if field.kind in ("integer", "number", "seed"):
        made = _number(field, common)
    elif field.kind == "toggle":
        made = bpy.props.BoolProperty(default=bool(field.default), **common)
    elif field.kind == "choice" and (field.choices or (pointers and surface.choices(field))):  # scripts may use aliases
        made = _enum(field, surface.choices(field), common)
    elif field.kind == "colour":
        rgb = colour_to_rgb(field.default) if field.default else (1.0, 1.0, 1.0)
        made = bpy.props.FloatVectorProperty(subtype="COLOR_GAMMA", size=3, min=0, max=1, default=rgb, **common)
    elif field.kind in ("image", "mask") and pointers:
        made = bpy.props.PointerProperty(type=bpy.types.Image, **common)
    elif field.kind in ("json", "hidden"):
        made = bpy.props.StringProperty(default=json_to_text(field.default) if field.kind == "json" else "", **common)
    else:
        made = bpy.props.StringProperty(default=str(field.default or ""), maxlen=field.longest or 0, **common)
    return made


def _number(field: Field, common: Mapping[str, Any]) -> Any:
    low, high = field.span
    soft = field.slider or (low, high, 1.0)
    default = field.default if field.default is not None else min(max(soft[0], low), high) if field.slider else _usual(field)
    limits: Dict[str, float] = {"min": low, "max": high, "soft_min": soft[0], "soft_max": soft[1]}
    if field.whole:
        return bpy.props.IntProperty(default=int(default), **{name: int(limit) for name, limit in limits.items()}, **common)
    return bpy.props.FloatProperty(default=float(default), step=max(1, int(100 * soft[2])), **limits, **common)


def _usual(field: Field) -> float:
    """What a number begins with when its box is ticked: a size that is common, else the least that is allowed."""
    low, high = field.span
    return min(max(512 if field.widget == "size" else 0, low), high)


def _enum(field: Field, choices: List[Choice], common: Mapping[str, Any]) -> Any:
    items: List[Tuple[str, str, str, int]] = []
    for choice in choices:
        name = AUTOMATIC if choice.value is None else str(choice.value)
        # A number of its own, by which a file remembers the choice: it must not move when a plugin adds another.
        items.append((name, choice.title, choice.help, zlib.crc32(name.encode()) & 0x7FFFFFFF))
    default = AUTOMATIC if field.default is None else str(field.default)
    known = [item[0] for item in items]
    return bpy.props.EnumProperty(items=items, default=default if default in known else known[0], **common)


def values(form: Form, settings: Any, picture: Callable[[Any], bytes], *, given: bool = False) -> Dict[str, Any]:
    """What the settings say, as the daemon takes it. ``given``: only what was set, as for an operator. Raises InvalidRequest."""
    found: Dict[str, Any] = {}
    for field in form.fields:
        if not hasattr(settings, field.name) or (given and not settings.is_property_set(field.name)):
            continue
        if not given and getattr(settings, USE + field.name, True) is False:
            continue
        value = _value(field, getattr(settings, field.name), picture)
        if value is not None or not (field.optional or field.required):
            found[field.name] = value
    return found


def _value(field: Field, value: Any, picture: Callable[[Any], bytes]) -> Any:
    kind = field.kind
    if kind in ("image", "mask"):
        value = picture(value) if value else None
    elif kind == "images":
        value = [picture(name.strip()) for name in value.split(";") if name.strip()]
    elif kind == "choice":
        value = None if value in (AUTOMATIC, "") else _typed(field, value)
    elif kind == "colour":
        value = rgb_to_colour((value[0], value[1], value[2]))
    elif kind in ("json", "hidden"):
        value = _hidden(field, value)
    elif kind in ("text", "lines") and field.optional and not value:
        value = None
    elif kind == "number":
        value = round(value, 6)  # Blender keeps 32 bits of it
    return value


def _hidden(field: Field, value: str) -> Any:
    """JSON; what is no JSON is taken for text, so that a script may write vae="name"."""
    try:
        return text_to_json(value, field.title)
    except InvalidRequest:
        if field.kind == "hidden":
            return value
        raise


def _typed(field: Field, value: str) -> Any:
    return next((choice.value for choice in field.choices if str(choice.value) == value), value)
