"""With a window: an animation is rendered, and its frames are stylised in one go. The cube stands still for two frames, then turns."""

import os

import bpy
from drive import photograph
from gesso_blender.blender import runtime
from window import front_tab, view

FRAMES = os.environ["FRAMES"]
COUNT, SIZE = 4, 96


def rendered():
    """The animation, by Blender itself."""
    scene, cube = bpy.context.scene, bpy.data.objects["Cube"]
    colour = bpy.data.objects["Cube"].active_material.node_tree.nodes["Principled BSDF"].inputs["Base Color"]
    colour.default_value = (0.8, 0.25, 0.05, 1.0)
    for frame, angle in ((1, 0.0), (2, 0.0), (3, 0.4), (4, 0.8)):
        cube.rotation_euler.z = angle
        cube.keyframe_insert("rotation_euler", frame=frame)
    scene.frame_start, scene.frame_end = 1, COUNT
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.seed = "CYCLES", 4, False, 0
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.render.resolution_percentage, scene.render.image_settings.file_format = 100, "PNG"
    scene.render.filepath = os.path.join(FRAMES, "")
    with bpy.context.temp_override(window=view()[0]):
        bpy.ops.render.render(animation=True)


def script():
    now = runtime.current()
    yield lambda: now.begun and now.session.state.connected
    yield from front_tab()
    rendered()
    yield lambda: not now.session.suspended
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
