# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the add-on on and off. Classes that are made from schemas are made anew when the daemon's schemas differ from those that ship."""

from typing import Any, List, Tuple, Type

import bpy
from bpy.app.handlers import persistent

from . import editors, operators, overlay, painting, panels, preferences, previews, projection, properties, rendering, runtime, scripting

_HANDLERS = (*rendering.HANDLERS, *editors.HANDLERS)
_made: List[Type[Any]] = []
_groups: List[str] = []


class Settings(bpy.types.PropertyGroup):
    """What the panel remembers beside the operations' own parameters."""

    operation: bpy.props.EnumProperty(name="Operation", description="What to make", items=panels.operation_items)
    mapping: bpy.props.EnumProperty(
        name="Mapping",
        description="How a material lies on the object",
        items=[("UV", "UV", "By the object's UVs"), ("BOX", "Box", "From six sides, for objects without UVs")],
    )
    tiles: bpy.props.FloatProperty(name="Tiles", description="How often it repeats along each axis", default=1.0, min=0.01, soft_max=20.0)
    relief: bpy.props.FloatProperty(
        name="Relief", description="Height of the relief; 0 for none", default=0.02, min=0.0, soft_max=0.5, subtype="DISTANCE"
    )
    asset: bpy.props.BoolProperty(name="Asset", description="Put new materials into the Asset Browser", default=True)
    view_size: bpy.props.IntProperty(name="Picture", description="Pixels of the picture that is projected", default=512, min=64, max=4096)
    view_texture: bpy.props.EnumProperty(
        name="Texture", description="Pixels of the object's texture", items=projection.SIZES, default="1024"
    )
    view_control: bpy.props.EnumProperty(
        name="Depth", description="What steers the picture by the shapes in the view", items=projection.control_items
    )
    view_start: bpy.props.EnumProperty(
        name="Start", description="What the picture starts from", items=projection.STARTS, default=projection.AUTOMATIC
    )
    masked: bpy.props.StringProperty(name="Picture", description="The picture that the mask is for")
    advanced: bpy.props.BoolProperty(name="Advanced", description="Show what is rarely needed", default=False)


_OPERATORS = (*operators.CLASSES, *rendering.CLASSES, *projection.CLASSES, *painting.CLASSES)
_MENUS = ("VIEW3D_MT_view", "IMAGE_MT_view")
_STATIC: Tuple[Type[Any], ...] = (Settings, preferences.Preferences, *panels.CLASSES, *_OPERATORS)


def register() -> None:
    """Costs milliseconds: no thread, no connection, nothing of the daemon's."""
    now = runtime.begin()
    now.on_surface = _from_schemas
    for kind in _STATIC:
        bpy.utils.register_class(kind)
    bpy.types.Scene.gesso = bpy.props.PointerProperty(type=Settings)
    bpy.types.WindowManager.gesso_fraction = bpy.props.FloatProperty(name="Progress", min=0, max=1, subtype="FACTOR", get=panels.fraction)
    _from_schemas()
    bpy.app.handlers.load_post.append(_loaded)
    for name in _MENUS:
        getattr(bpy.types, name).append(panels.in_view_menu)
    for name, function in _HANDLERS:
        getattr(bpy.app.handlers, name).append(function)
    if not bpy.app.background:
        now.prepare()
        overlay.begin()
        bpy.app.timers.register(_tick, first_interval=0.5, persistent=True)


def unregister() -> None:
    """Nothing is left behind."""
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    for name, function in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(function)
    for name in _MENUS:
        getattr(bpy.types, name).remove(panels.in_view_menu)
    overlay.end()
    bpy.app.handlers.load_post.remove(_loaded)
    _drop_made()
    del bpy.types.WindowManager.gesso_fraction
    del bpy.types.Scene.gesso
    for kind in reversed(_STATIC):
        bpy.utils.unregister_class(kind)
    previews.forget()
    runtime.end()


def _from_schemas() -> None:
    """Settings and operators for every operation; what a file remembers of them stays, for it is kept by name."""
    _drop_made()
    surface = runtime.current().surface
    for name, form in surface.forms.items():
        body = {"__annotations__": properties.declared(form, surface, pointers=True), "__doc__": form.summary}
        group = type(f"GESSO_PG_{properties.identifier(name)}", (bpy.types.PropertyGroup,), body)
        bpy.utils.register_class(group)
        setattr(bpy.types.Scene, properties.group_name(name), bpy.props.PointerProperty(type=group))
        _groups.append(properties.group_name(name))
        _made.append(group)
    taken = {str(kind.bl_idname) for kind in _OPERATORS}
    for kind in scripting.operator_classes(surface, taken):
        bpy.utils.register_class(kind)
        _made.append(kind)


def _drop_made() -> None:
    for name in _groups:
        delattr(bpy.types.Scene, name)
    for kind in reversed(_made):
        bpy.utils.unregister_class(kind)
    _groups.clear()
    _made.clear()


def _tick() -> float:
    now = runtime.current()
    if not now.ready:
        return 0.1
    if not now.begun:
        preferences.use_program()
        now.connect_first()
    pause = now.tick()
    windows = bpy.context.window_manager.windows
    if now.open_tasks and not now.watching and windows:
        with bpy.context.temp_override(window=windows[0]):  # a file was loaded, which ends modal operators
            operators.watch(bpy.context)
    return pause


@persistent
def _loaded(_unused: Any) -> None:
    runtime.current().loads += 1
