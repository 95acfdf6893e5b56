"""Projections that begin with what is there, or are steered by the depth of the view: what the daemon is given, and what comes of it."""

import os
from pathlib import Path

import bpy
from drive import mean_colour
from gesso_blender.blender import looking
from mathutils import Vector
from projected import scene


def script():
    floor, cube = scene()
    cube.data.materials.append(floor.active_material)
    bpy.context.view_layer.objects.active = floor
    bpy.ops.object.light_add(type="SUN", location=(0, 0, 5))  # whose light must not get into the picture
    hidden = bpy.ops.mesh.primitive_uv_sphere_add(radius=3) and bpy.context.active_object
    hidden.hide_set(True)
    assert bpy.ops.gesso.fix(name="start") == {"FINISHED"}
    words = {"prompt": "moss", "object_name": floor.name, "size": 64, "texture": "256"}
    picture = '{"model": "%s", "steps": 2, "seed": 4, "strength": 0.5}'
    assert bpy.ops.gesso.project(**words, start="CURRENT", parameters=picture % "starter") == {"FINISHED"}
    first = floor.active_material
    assert first.name == "Plane projected", first.name
    colours = [_painted(floor)]
    yield 0
    # By itself: the object shows a picture by now, and the model takes one.
    assert bpy.ops.gesso.project(**words, control="NONE", parameters=picture % "starter") == {"FINISHED"}
    colours.append(_painted(floor))
    yield 0
    # By itself as well: there is a ControlNet whose name says depth, and the model listens to one.
    assert bpy.ops.gesso.project(**words, parameters=picture.replace(', "strength": 0.5', "") % "tiny") == {"FINISHED"}
    colours.append(_painted(floor))
    assert floor.active_material.node_tree.nodes["Gesso projection"].image.packed_file is not None
    assert [world.name for world in bpy.data.worlds] == ["World"]
    yield 0
    # A ControlNet whose name says normal is shown these.
    assert bpy.ops.gesso.project(**words, control="tiny-normal", parameters=picture.replace(', "strength": 0.5', "") % "tiny") == {
        "FINISHED"
    }
    camera = bpy.context.scene.camera
    Path(os.environ["FOLDER"], "objects.png").write_bytes(looking.guide_of(looking.of_camera(camera, 64), looking.OBJECTS))
    return {"colours": colours, "up": list(camera.matrix_world.inverted().to_3x3() @ Vector((0, 0, 1)))}


def _painted(floor):
    return mean_colour(floor.active_material.node_tree.nodes["Gesso projection"].image)
