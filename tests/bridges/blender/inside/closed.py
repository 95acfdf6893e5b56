"""With a window, while the daemon has lent its device away: three jobs are asked for, and Blender is killed before they are begun."""

import os
import signal

import bpy
from gesso_blender.blender import runtime
from window import run

FOLDER, FRAMES = os.environ["FOLDER"], os.environ["FRAMES"]
ONE = '{"model": "procedural", "seed": 6}'


def script():
    bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
    now = runtime.current()
    yield lambda: now.begun and now.session.state.connected
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(FOLDER, "closed.blend"))
    tasks = [
        run(bpy.ops.gesso.texture, prompt="slate", width=64, height=64, seed=8, tiles=2.0),
        run(bpy.ops.gesso.project, prompt="red brick", size=64, texture="256", parameters=ONE),
        run(bpy.ops.gesso.stylise_render, prompt="moss", directory=FRAMES, parameters='{"model": "starter", "steps": 2}'),
    ]
    yield lambda: set(now.unfinished.jobs) == {task.job for task in tasks}
    os.kill(os.getpid(), signal.SIGKILL)
