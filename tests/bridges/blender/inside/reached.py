"""With a window: everything is reached by keyboard, report and log are at hand, and the panel is readable large and in a light theme."""

import os
from pathlib import Path
from types import SimpleNamespace

import bpy
from drive import photograph
from gesso_blender.blender import panels, registration
from window import view

FOLDER = os.environ["FOLDER"]


def press(kind, unicode="", **held):
    window, area, _ = view()
    place = {"x": area.x + area.width // 3, "y": area.y + area.height // 3}
    window.event_simulate(type=kind, value="PRESS", unicode=unicode or None, **place, **held)
    window.event_simulate(type=kind, value="RELEASE", **place, **held)


def by_keyboard(now):
    """Gives the report that F3 has put onto the clipboard, after a job that failed."""
    task = now.session.submit("texture", {"prompt": "a word to keep", "model": "nothing"})
    yield lambda: task.ended
    assert task.state == "failed", task.state
    now.forget(task)
    _nothing_is_left_out()
    bpy.context.window_manager.clipboard = ""
    press("F3")
    yield 1.0
    for letter in "copy report":
        press("SPACE" if letter == " " else letter.upper(), letter)
        yield 0.1
    yield 1.0
    photograph(os.path.join(FOLDER, "search.png"))
    press("RET")
    yield lambda: bpy.context.window_manager.clipboard
    report = bpy.context.window_manager.clipboard
    keys = bpy.context.window_manager.keyconfigs.addon.keymaps.new(name="3D View", space_type="VIEW_3D")
    keys.keymap_items.new("gesso.open_log", "L", "PRESS", ctrl=True, shift=True, alt=True)
    opened = Path(FOLDER, "opened")
    yield 0.5
    press("L", ctrl=True, shift=True, alt=True)
    yield opened.exists  # written by what stands for the program that shows text files
    return {"report": report, "opened": opened.read_text(), "unopened": _where_nothing_shows_text()}


def _where_nothing_shows_text():
    """What is said instead of opening the log."""
    path = os.environ["PATH"]
    os.environ["PATH"] = FOLDER
    try:
        return str(bpy.ops.gesso.open_log())
    except RuntimeError as fault:
        return str(fault)
    finally:
        os.environ["PATH"] = path


def _nothing_is_left_out():
    """The menu, which is what F3 searches, has every operator but those that are Blender's own business."""
    names = set()
    layout = SimpleNamespace(separator=lambda: None, menu=names.add)
    layout.operator = lambda name, **_words: names.add(name) or SimpleNamespace()
    panels.Menu.draw(SimpleNamespace(layout=layout), bpy.context)
    wanted = {kind.bl_idname for kind in registration._OPERATORS if "INTERNAL" not in getattr(kind, "bl_options", ())}
    assert names - {"GESSO_MT_history"} == wanted - {"gesso.use_prompt"}, names ^ wanted


def at_any_scale():
    """Twice as large, and light."""
    preferences = bpy.context.preferences
    region = next(region for region in view()[1].regions if region.type == "UI")
    before = region.width
    preferences.view.ui_scale = 2.0
    yield 2.0
    photograph(os.path.join(FOLDER, "scale.png"))
    region = next(region for region in view()[1].regions if region.type == "UI")
    assert region.width > 1.8 * before, (region.width, before)
    preferences.view.ui_scale = 1.0
    (theme,) = (path for folder in bpy.utils.preset_paths("interface_theme") for path in Path(folder).glob("?lender_?ight.xml"))
    bpy.ops.script.execute_preset(filepath=str(theme), menu_idname="USERPREF_MT_interface_theme_presets")
    yield 2.0
    photograph(os.path.join(FOLDER, "light.png"))
    bpy.ops.preferences.reset_default_theme()
