# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels: drawn from the daemon's schemas, so that they need no change when an operation changes. Drawing changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Tuple, Type

import bpy

from ..panel.form import Field, Form
from . import asset, previews, properties, runtime

if TYPE_CHECKING:
    from ..panel.task import Task

CATEGORY = "Gesso"
_FIRST = ("texture", "generate", "edit", "upscale")
"""What the list begins with; an operation that is not among these follows in the order of the schemas."""
_PROMPTS_SHOWN = 20
_LABEL = 0.42
"""The part of a row that the name of a drop-down list takes."""
_items: List[Tuple[str, str, str, int]] = []


def operation_items(_settings: Any, _context: Any) -> List[Tuple[str, str, str, int]]:
    """The operations that there are. Blender needs the list to stay alive."""
    forms = runtime.current().surface.forms
    names = [*(name for name in _FIRST if name in forms), *(name for name in forms if name not in _FIRST)]
    _items[:] = [(name, forms[name].title, forms[name].summary, number) for number, name in enumerate(names)]
    return _items


def fraction(_manager: Any) -> float:
    """How far the newest job is."""
    now = runtime.current()
    return _progress(now.open_tasks[-1], now)[0] if now.open_tasks else 0.0


def _progress(task: Task, now: runtime.Runtime) -> Tuple[float, str]:
    """How far a job is, and in words."""
    placing = now.placing(task)
    return (task.fraction, task.words) if placing is None else (placing.fraction, f"painting, {placing.fraction:.0%}")


class _Base:
    """What the panels of all editors share."""

    bl_label = "Gesso"
    bl_region_type = "UI"
    bl_category = CATEGORY

    layout: Any

    def draw(self, context: Any) -> None:
        """State, form, jobs, in the order in which they are needed."""
        now, settings = runtime.current(), context.scene.gesso
        column = self.layout.column()
        if now.begun:
            draw_state(column, now)
        form = now.surface.forms.get(settings.operation)
        if form is None:
            column.label(text="No operation is known.", icon="ERROR")
            return
        column.prop(settings, "operation", text="")
        draw_form(column, form, context)
        if context.space_data.type != "IMAGE_EDITOR" and settings.operation == "texture":
            draw_placing(column, settings)
        draw_tools(column, form.operation, context)
        row = column.row(align=True)
        row.scale_y = 1.4
        row.operator("gesso.run", text=form.title, icon="SHADERFX").operation = form.operation
        draw_tasks(column, now)
        last = column.column(align=True)
        last.operator("gesso.open_log", icon="TEXT")
        last.operator("gesso.copy_report", icon="COPYDOWN")


def draw_state(layout: Any, now: runtime.Runtime) -> None:
    """How things stand, and the button that mends it; until the first picture, the three steps."""
    from ..panel import steps
    from ..panel.state import FIXES

    found = steps.first_steps(now.session, now.made_before)
    if all(step.done for step in found):
        wrapped(layout, now.session.state.sentence, icon="CHECKMARK")
        if now.session.state.hint:
            wrapped(layout, now.session.state.hint)
        return
    box = layout.box()
    for step in found:
        box.label(text=f"{step.title}", icon="CHECKMARK" if step.done else "RADIOBUT_OFF")
        if not step.done:
            wrapped(box, step.sentence)
        if step.fix is not None:
            box.operator("gesso.fix", text=FIXES.get(step.fix, "Make it"), icon="PLAY").name = step.fix
    if now.session.state.hint:
        wrapped(box, now.session.state.hint)


def wrapped(layout: Any, text: str, icon: str = "NONE") -> None:
    """Blender does not wrap labels. A letter takes about 7.5 of its points, more of the screen's where everything is drawn larger; the icon
    before the first line takes three letters.
    """
    column = layout.column(align=True)
    width = max(16, int(bpy.context.region.width / (7.5 * bpy.context.preferences.system.ui_scale)))
    line = ""
    for word in text.split():
        if line and len(line) + len(word) + (0 if icon == "NONE" else 3) >= width:
            column.label(text=line, icon=icon)
            line, icon = "", "NONE"
        line = f"{line} {word}".strip()
    if line:
        column.label(text=line, icon=icon)


def draw_form(layout: Any, form: Form, context: Any) -> None:
    """Groups in boxes; advanced ones behind a fold."""
    values = getattr(context.scene, properties.group_name(form.operation))
    settings = context.scene.gesso
    if any(field.kind == "lines" for field in form.fields):
        layout.menu("GESSO_MT_history", icon="TIME")
    for group in form.groups:
        if group.advanced:
            continue
        box = layout.box().column()
        for field in group.fields:
            draw_field(box, field, values)
    if any(group.advanced for group in form.groups):
        icon = "TRIA_DOWN" if settings.advanced else "TRIA_RIGHT"
        layout.prop(settings, "advanced", icon=icon, emboss=False)
        for group in form.groups if settings.advanced else ():
            if group.advanced:
                box = layout.box().column()
                box.label(text=group.title)
                for field in group.fields:
                    draw_field(box, field, values)


def draw_field(layout: Any, field: Field, values: Any) -> None:
    """One field; a number that may be left to the model has a check box before it."""
    if not hasattr(values, field.name):
        return
    use = properties.USE + field.name
    if hasattr(values, use):
        row = layout.row(heading=field.title)
        row.prop(values, use, text="")
        part = row.row()
        part.enabled = getattr(values, use)
        part.prop(values, field.name, text="", slider=field.slider is not None)
    elif field.kind == "lines":
        layout.prop(values, field.name, text="", icon="REMOVE" if field.widget == "negative" else "GREASEPENCIL")
    elif field.kind == "choice" and not field.choices:  # models and the like, whose names are long
        column = layout.column(align=True)
        column.label(text=f"{field.title}:")
        column.prop(values, field.name, text="")
    elif field.kind == "choice":
        row = layout.split(factor=_LABEL)  # Blender's own gives the name a third, too little for a narrow sidebar
        row.label(text=f"{field.title}:")
        row.prop(values, field.name, text="")
    elif field.kind in ("image", "mask"):
        column = layout.column(align=True)  # the name above: beside it Blender cuts the button off
        open_one = field.required and getattr(values, field.name) is None
        column.label(text=f"{field.title}: the open one" if open_one else f"{field.title}:")
        column.template_ID(values, field.name, open="image.open")
    else:
        layout.prop(values, field.name, slider=field.slider is not None)


def draw_placing(layout: Any, settings: Any) -> None:
    """Where a material goes, and how it lies there."""
    box = layout.box().column()
    box.row().prop(settings, "mapping", expand=True)
    numbers = box.column(align=True)
    numbers.prop(settings, "tiles")
    numbers.prop(settings, "relief")
    box.prop(settings, "asset")


def draw_tools(layout: Any, operation: str, context: Any) -> None:
    """What Blender adds to an operation: a mask to paint, a seam to mend, a view to project from, a render to change."""
    in_view, settings = context.space_data.type == "VIEW_3D", context.scene.gesso
    if operation == "edit":
        column = layout.column(align=True)
        column.operator("gesso.new_mask", icon="BRUSH_DATA")
        column.operator("gesso.edit_masked", icon="MOD_MASK")
    elif operation == "texture" and not in_view:
        layout.operator("gesso.make_seamless", icon="MESH_GRID")
    elif operation == "generate" and in_view:
        box = layout.box().column()
        for name in ("view_size", "view_texture", "view_control", "view_start"):
            row = box.split(factor=_LABEL)
            row.label(text=f"{settings.bl_rna.properties[name].name}:")
            row.prop(settings, name, text="")
        project(box, settings)
        column = layout.column(align=True)
        column.operator("gesso.stylise_render", icon="RENDER_RESULT")
        column.operator("gesso.stylise_render", text="Stylise frames", icon="RENDER_ANIMATION").browse = True


def project(layout: Any, settings: Any) -> None:
    """The button or entry that projects as the panel says."""
    button = layout.operator("gesso.project", icon="VIEW_PERSPECTIVE")
    button.size, button.texture = settings.view_size, settings.view_texture
    button.control, button.start = settings.view_control, settings.view_start


def draw_tasks(layout: Any, now: runtime.Runtime) -> None:
    """Jobs, the newest first: how far, what it becomes, what came of it."""
    for task in reversed(list(now.session.tasks.values())[-6:] if now.begun else []):
        box = layout.box().column()
        row = box.row(align=True)
        row.label(text=str(task.params.get("prompt") or task.operation)[:40], icon=_icon(task))
        if task not in now.open_tasks:
            row.operator("gesso.forget", text="", icon="X", emboss=False).number = task.number
        else:
            row.operator("gesso.cancel", text="", icon="CANCEL").number = task.number
            _draw_progress(box, task, now)
        preview = previews.of_task(task)
        if preview is not None:
            box.template_icon(icon_value=preview.icon_id, scale=6)
        if task.number in now.messages:
            wrapped(box, now.messages[task.number])
            if task in now.waiting:
                box.operator("gesso.place").number = task.number
        _draw_choice(box, task)


def _icon(task: Task) -> str:
    return {"done": "CHECKMARK", "failed": "ERROR", "cancelled": "CANCEL"}.get(task.state, "SORTTIME")


def _draw_progress(layout: Any, task: Task, now: runtime.Runtime) -> None:
    part, words = _progress(task, now)
    if hasattr(layout, "progress"):  # since 4.0
        layout.progress(factor=part, text=words)
    elif task is now.open_tasks[-1]:
        layout.prop(bpy.context.window_manager, "gesso_fraction", text=words, slider=True)
    else:
        layout.label(text=words)


def _draw_choice(layout: Any, task: Task) -> None:
    """Thumbnails of several results; a click takes one."""
    made = [bpy.data.materials.get(name) for name in task.memo.get("made", ())]
    found = [material for material in made if material is not None and material.preview is not None]
    if len(found) < 2:
        return
    grid = layout.grid_flow(columns=3, even_columns=True)
    for number, material in enumerate(found, 1):
        cell = grid.column(align=True)
        cell.template_icon(icon_value=material.preview.icon_id, scale=4)
        cell.operator("gesso.choose", text=f"Take {number}").material = material.name


class History(bpy.types.Menu):
    """Prompts that were sent before."""

    bl_idname = "GESSO_MT_history"
    bl_label = "Earlier prompts"

    def draw(self, context: Any) -> None:
        """The newest first."""
        prompts = runtime.current().history.prompts[:_PROMPTS_SHOWN]
        for prompt in prompts:
            self.layout.operator("gesso.use_prompt", text=prompt[:60]).prompt = prompt
        if not prompts:
            self.layout.label(text="None yet")


class Menu(bpy.types.Menu):
    """All that the panels' buttons do, under View: there F3 finds it, and a right click gives it a shortcut."""

    bl_idname = "GESSO_MT_menu"
    bl_label = "Gesso"

    def draw(self, context: Any) -> None:
        """Making, choosing, mending."""
        layout, settings = self.layout, context.scene.gesso
        layout.operator_context = "INVOKE_DEFAULT"
        for name, title, _, _ in operation_items(settings, context):
            layout.operator("gesso.run", text=title).operation = name
        layout.separator()
        project(layout, settings)
        layout.operator("gesso.stylise_render")
        layout.operator("gesso.stylise_render", text="Stylise frames").browse = True
        for name in ("new_mask", "edit_masked", "make_seamless"):
            layout.operator(f"gesso.{name}")
        layout.separator()
        layout.operator("gesso.again", text="Make this material again").vary = False
        layout.operator("gesso.again", text="Vary this material").vary = True
        layout.operator("gesso.choose", text="Take the next one")
        layout.operator("gesso.place", text="Use the newest result here")
        layout.menu("GESSO_MT_history")
        layout.separator()
        layout.operator("gesso.cancel", text="Cancel the newest job")
        layout.operator("gesso.forget", text="Clear the list of jobs")
        for name in ("fix", "locate", "open_log", "copy_report"):
            layout.operator(f"gesso.{name}")


def in_view_menu(menu: Any, _context: Any) -> None:
    """Appended to the menu View."""
    menu.layout.separator()
    menu.layout.menu("GESSO_MT_menu")


class View(_Base, bpy.types.Panel):
    """In the 3D view, in every mode; in Texture Paint it is there as well."""

    bl_idname = "GESSO_PT_view"
    bl_space_type = "VIEW_3D"


class Editor(_Base, bpy.types.Panel):
    """In the Image Editor."""

    bl_idname = "GESSO_PT_editor"
    bl_space_type = "IMAGE_EDITOR"


class Again(bpy.types.Panel):
    """What can be done with a material that Gesso made."""

    bl_idname = "GESSO_PT_again"
    bl_label = "This material"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Only where there is one."""
        target = context.active_object
        return target is not None and asset.recipe(target.active_material) is not None

    def draw(self, context: Any) -> None:
        """Its recipe, and two ways to go on."""
        found = asset.recipe(context.active_object.active_material) or {}
        wrapped(self.layout.column(), str(found.get("params", {}).get("prompt", found.get("operation", ""))))
        row = self.layout.row(align=True)
        row.operator("gesso.again", text="Again", icon="FILE_REFRESH").vary = False
        row.operator("gesso.again", text="Vary", icon="MOD_NOISE").vary = True


CLASSES: Tuple[Type[Any], ...] = (History, Menu, View, Editor, Again)
