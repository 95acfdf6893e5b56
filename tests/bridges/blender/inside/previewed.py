"""With a window: while a job runs, its preview is on the object, and nothing of it in the file."""

import os

import bpy
from drive import photograph
from gesso_blender.blender import overlay, runtime
from window import front_tab, material, run, undo, view

FOLDER = os.environ["FOLDER"]


def held():
    """Everything in the file."""
    kinds = ("images", "materials", "meshes", "objects", "node_groups", "textures", "scenes", "cameras")
    return {kind: sorted(thing.name for thing in getattr(bpy.data, kind)) for kind in kinds}


def script():
    cube = bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
    now = runtime.current()
    yield lambda: now.begun and now.session.state.connected
    yield from front_tab()
    cube.location.x = 0.5
    with bpy.context.temp_override(window=view()[0]):
        bpy.ops.ed.undo_push(message="move")
    yield 0.5
    photograph(os.path.join(FOLDER, "preview-before.png"))
    for mapping in ("UV", "BOX"):
        yield from on_the_object(now, mapping)
    yield from from_the_view(now)
    yield 1.0
    photograph(os.path.join(FOLDER, "preview-after.png"))
    undo()
    yield 0.3
    assert bpy.data.objects["Cube"].location.x == 0.0  # the step before the jobs: they left none


def on_the_object(now, mapping):
    before, worn = held(), material().name
    task = run(bpy.ops.gesso.texture, prompt="mossy stone", model="starter", width=256, height=256, count=3, seed=5, mapping=mapping)
    yield lambda: task.preview is not None or task.ended
    assert not task.ended, (task.state, task.error)
    now.session.suspend()  # it stands at its next step, with the preview that it has
    yield lambda: task.number in overlay._shown  # a busy machine may take long to come to that step
    yield 1.0
    photograph(os.path.join(FOLDER, f"preview-{mapping.lower()}.png"))
    assert held() == before
    assert material().name == worn
    now.session.cancel(task)
    now.session.resume()
    yield lambda: task.ended and not now.session.suspended
    assert task.state == "cancelled", task.state
    yield lambda: task.number not in overlay._shown


def from_the_view(now):
    words = '{"model": "starter", "steps": 1000, "seed": 6}'
    task = run(bpy.ops.gesso.project, prompt="mossy stone", size=64, texture="256", parameters=words)
    yield lambda: task.number in overlay._shown
    yield 1.0
    photograph(os.path.join(FOLDER, "preview-view.png"))
    now.session.cancel(task)
    yield lambda: task.ended
    depth = bpy.data.images.get(task.memo["projection"]["depth"])
    assert depth is None, "the depth of a projection that will not be is left behind"
