"""With a window: Blender is killed while the second one bakes for it."""

import json
import os
import signal
from pathlib import Path

import bpy
from gesso_blender.blender import runtime
from window import run
from worked import second


def script():
    bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
    now = runtime.current()
    yield lambda: now.begun and now.session.state.connected
    task = run(bpy.ops.gesso.project, size=64, texture="2048", prompt="red brick", parameters='{"model": "procedural", "seed": 6}')
    yield lambda: now.placing(task) is not None and now.placing(task).fraction > 0
    process, folder = second()
    Path(os.environ["FOLDER"], "second.json").write_text(json.dumps([process, str(folder), folder.exists()]))
    os.kill(os.getpid(), signal.SIGKILL)
