"""With a window and no daemon: the three steps of a first run by real clicks."""

import os

import bpy
from drive import base_colour, log, mean_colour, photograph
from gesso_blender.blender import runtime
from window import click, front_tab, material, view

FOLDER = os.environ["FOLDER"]


def press(seen, offsets, part=0.5):
    """Click down (or up) the panel until it has the effect that is waited for; gives where that was."""
    panel = next(region for region in view()[1].regions if region.type == "UI")
    for below in offsets:
        click(panel.x + int((panel.width - 24) * part), panel.y + panel.height - below)
        yield 0.3
        if seen():
            log("pressed", below)
            return below
    raise AssertionError("no click had the effect")


def script():
    bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
    now = runtime.current()
    yield lambda: now.begun and now.session.state.name == "stopped"
    yield from front_tab()
    photograph(os.path.join(FOLDER, "first-stopped.png"))
    yield from press(lambda: now.session.state.name != "stopped", range(40, 200, 10))
    yield lambda: now.session.state.connected
    yield 1.0
    photograph(os.path.join(FOLDER, "first-connected.png"))
    yield from press(lambda: now.session.tasks, range(40, 260, 10))
    (task,) = now.session.tasks.values()
    yield lambda: task.ended and task.memo.get("unseen") == []
    assert task.state == "done", task.error
    assert task.params["prompt"] == "mossy grey cobblestone"
    assert material().name == task.memo["made"][0]
    yield 1.0
    photograph(os.path.join(FOLDER, "first-done.png"))
    return {"colour": mean_colour(base_colour(material()))}
