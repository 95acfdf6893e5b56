"""Without a window: an animation is rendered. The cube stands still for two frames, then turns.

In a Blender of its own: rendering an animation from a window's timer crashes Blender 3.4 at times, with or without Gesso.
"""

import os

import bpy

COUNT, SIZE = 4, 96


def script():
    yield 0.0
    scene, cube = bpy.context.scene, bpy.data.objects["Cube"]
    colour = cube.active_material.node_tree.nodes["Principled BSDF"].inputs["Base Color"]
    colour.default_value = (0.8, 0.25, 0.05, 1.0)
    for frame, angle in ((1, 0.0), (2, 0.0), (3, 0.4), (4, 0.8)):
        cube.rotation_euler.z = angle
        cube.keyframe_insert("rotation_euler", frame=frame)
    scene.frame_start, scene.frame_end = 1, COUNT
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.seed = "CYCLES", 4, False, 0
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.render.resolution_percentage, scene.render.image_settings.file_format = 100, "PNG"
    scene.render.filepath = os.path.join(os.environ["FRAMES"], "")
    bpy.ops.render.render(animation=True)
