"""With a window: the frames of an animation, rendered before, are stylised in one go."""

import os

import bpy
from drive import photograph
from gesso_blender.blender import runtime
from window import front_tab, view

FRAMES = os.environ["FRAMES"]
COUNT = 4


def script():
    now = runtime.current()
    yield lambda: now.begun and now.session.state.connected
    yield from front_tab()
    bpy.context.scene.gesso.operation = "generate"
    window, area, region = view()
    words = {"prompt": "moss", "strength": 0.25, "directory": FRAMES, "parameters": '{"model": "starter", "steps": 6}'}
    with bpy.context.temp_override(window=window, area=area, region=region):
        assert bpy.ops.gesso.stylise_render("EXEC_DEFAULT", **words) == {"FINISHED"}
    tasks = list(now.session.tasks.values())
    assert len(tasks) == COUNT, "all are asked for at once"
    yield lambda: all(task.number in now.messages for task in tasks)
    assert [task.state for task in tasks] == ["done"] * COUNT, now.messages
    assert [now.messages[task.number] for task in tasks] == [f"Written: gesso/{number:04}.png" for number in range(1, COUNT + 1)]
    yield 1.0
    photograph(os.path.join(os.environ["FOLDER"], "frames-panel.png"))
