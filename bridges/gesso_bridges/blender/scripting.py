# SPDX-License-Identifier: GPL-3.0-or-later
"""One operator for each operation of the daemon, made from its schema: `bpy.ops.gesso.texture(prompt="moss")`.

Without a window it returns when the result is in its place; with one it returns at once, unless ``wait`` says otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Set, Type

import bpy

from gesso.errors import InvalidRequest

from ..panel.form import Form, Surface
from . import images, operators, properties, runtime

if TYPE_CHECKING:
    from ..panel.task import Task

_OURS: Mapping[str, Callable[[], Any]] = {
    "object_name": lambda: bpy.props.StringProperty(name="Object", description="Gets the material; by default the active one"),
    "slot": lambda: bpy.props.IntProperty(name="Slot", description="Its material slot; -1 for the active one", default=-1, min=-1),
    "mapping": lambda: bpy.props.EnumProperty(
        name="Mapping", items=[("UV", "UV", "By the object's UVs"), ("BOX", "Box", "From six sides")], default="UV"
    ),
    "tiles": lambda: bpy.props.FloatProperty(name="Tiles", description="Repetitions along each axis", default=1.0, min=0.01),
    "relief": lambda: bpy.props.FloatProperty(name="Relief", description="Height of the relief", default=0.02, min=0.0),
    "asset": lambda: bpy.props.BoolProperty(name="Asset", description="Mark the material as an asset", default=True),
    "wait": lambda: bpy.props.BoolProperty(name="Wait", description="Return when it is done", default=False),
}  # fmt: skip
"""What every operator takes beside the operation's own parameters; an operation's own parameter of the same name goes first."""


def operator_classes(surface: Surface, taken: Set[str]) -> List[Type[Any]]:
    """A class for each operation whose name is free."""
    names = {name: properties.identifier(name) for name in surface.forms}
    return [_operator(surface.forms[name], surface, word) for name, word in names.items() if f"gesso.{word}" not in taken]


def _operator(form: Form, surface: Surface, word: str) -> Type[Any]:
    ours = {name: make() for name, make in _OURS.items() if name not in form}
    body: Dict[str, Any] = {
        "bl_idname": f"gesso.{word}",
        "bl_label": form.title,
        "bl_description": form.summary.rstrip("."),
        "bl_options": {"INTERNAL"},
        "__doc__": form.summary,
        "__annotations__": {**ours, **properties.declared(form, surface, pointers=False)},
        "ask": _ask(form.operation),
    }
    return type(f"GESSO_OT_{word}", (operators.Asks, bpy.types.Operator), body)


def _ask(operation: str) -> Callable[[Any, Any], List[Task]]:
    def ask(self: Any, context: Any) -> List[Task]:
        now = runtime.current()
        form = now.surface.forms[operation]
        params = properties.values(form, self.properties, _picture, given=True)
        memo = _memo(self, context, form)
        for field in form.of_kind("image"):
            named = getattr(self, field.name)
            if named in bpy.data.images:
                memo["image"] = named
        return [now.submit(operation, params, **memo)]

    return ask


def _memo(operator: Any, context: Any, form: Form) -> Dict[str, Any]:
    memo = {name: getattr(operator, name) for name in ("mapping", "tiles", "relief", "asset") if name not in form}
    name = getattr(operator, "object_name", "")
    target = bpy.data.objects.get(name) if name else context.active_object
    if name and target is None:
        raise InvalidRequest(f"There is no object {name!r}.", field="object_name")
    if target is not None:
        slot = getattr(operator, "slot", -1)
        memo.update(object=target.name, slot=target.active_material_index if slot < 0 else slot)
    return memo


def _picture(name: str) -> bytes:
    """An image of this file by its name, else a file by its path."""
    image = bpy.data.images.get(name)
    if image is not None:
        return images.to_file(image)
    path = Path(bpy.path.abspath(name))
    if not path.is_file():
        raise InvalidRequest(f"There is neither an image nor a file {name!r}.", field="image")
    return path.read_bytes()
