# SPDX-License-Identifier: GPL-3.0-or-later
"""What a view sees: its camera as plain numbers, depth and colour rendered from it. It projects nothing.

Rendering happens in a scene of its own that shows copies of the objects, so that nothing of the user's is touched. The copies wear
materials that shine: the user's own would be loaded with all their pictures, which takes seconds, even where they are overridden.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Tuple

import bpy
from mathutils import Matrix, Vector

from gesso.errors import InvalidRequest

from .albedo import Shining

SENSOR = 72.0
"""The 3D view shows as much as a camera of this sensor with the same lens."""

DEPTH, NORMAL, OBJECTS = "depth", "normal", "objects"
"""What `guide_of` can show."""

SCENE = "Gesso view"
"""What the scenes are called in which views are rendered."""

_DRESSED = ("MESH", "CURVE", "SURFACE", "FONT")
_SIMULATED = ("CLOTH", "SOFT_BODY", "FLUID", "PARTICLE_SYSTEM", "PARTICLE_INSTANCE")
"""Modifiers whose result a copy would not have."""


@dataclass(frozen=True)
class View:
    """``matrix``: the camera's, row by row. ``half``: the tangent of half its angle, or half its width where ``parallel``."""

    matrix: Tuple[float, ...]
    half: float
    parallel: bool
    size: int

    @property
    def world(self) -> Any:
        """The camera's matrix as Blender's own."""
        return Matrix([self.matrix[row : row + 4] for row in (0, 4, 8, 12)])


def of_camera(camera: Any, size: int) -> View:
    """A camera's square view; what a wide picture shows beside it is left out."""
    parallel = camera.data.type == "ORTHO"
    half = camera.data.ortho_scale / 2 if parallel else math.tan(camera.data.angle_x / 2)
    return View(_flat(camera.matrix_world), half, parallel, size)


def of_context(context: Any, size: int) -> View:
    """What the 3D view shows, else what the scene's camera sees; raises InvalidRequest where there is neither."""
    space, camera = context.space_data, context.scene.camera
    region = getattr(context, "region_data", None)
    if space is None or space.type != "VIEW_3D" or region is None or (region.view_perspective == "CAMERA" and camera is not None):
        if camera is None:
            raise InvalidRequest("There is no view to project from.", hint="Add a camera, or use a 3D view.")
        return of_camera(camera, size)
    parallel = region.view_perspective == "ORTHO"
    half = region.view_distance * SENSOR / (2 * space.lens) if parallel else SENSOR / (2 * space.lens)
    return View(_flat(region.view_matrix.inverted()), half, parallel, size)


def _flat(matrix: Any) -> Tuple[float, ...]:
    return tuple(float(value) for row in matrix for value in row)


def depth_of(view: View) -> Any:
    """Distances along the view, in metres, as a float image; alpha is 0 where there is nothing."""
    with shining() as materials, _scene(view, materials.showing(_distance), "OPEN_EXR", "32") as path:
        image = bpy.data.images.load(path, check_existing=False)
        image.name = "Gesso depth"
        image.colorspace_settings.name = "Non-Color"
        image.pack()
    return image


def guide_of(view: View, kind: str = DEPTH) -> bytes:
    """What steers a ControlNet, as a PNG that is black where there is nothing: depth, where near is white; normals as the view sees them, x
    to the right, y up, z towards it; or a colour for each object.
    """
    near, far = _range(view)

    def nearness(tree: Any) -> Any:
        mapped = tree.nodes.new("ShaderNodeMapRange")
        for name, value in (("From Min", near), ("From Max", far), ("To Min", 1.0), ("To Max", 0.0)):
            mapped.inputs[name].default_value = value
        tree.links.new(_distance(tree), mapped.inputs["Value"])
        return mapped.outputs["Result"]

    build = {DEPTH: nearness, NORMAL: _normal, OBJECTS: _object_colour}[kind]
    with shining() as materials, _scene(view, materials.showing(build), "PNG", "8", raw=kind != DEPTH) as path:
        return Path(path).read_bytes()


def _normal(tree: Any) -> Any:
    """From -1 .. 1 to 0 .. 1; the camera's own z points away from it."""
    turned, halved = tree.nodes.new("ShaderNodeVectorTransform"), tree.nodes.new("ShaderNodeVectorMath")
    turned.vector_type, turned.convert_from, turned.convert_to = "NORMAL", "WORLD", "CAMERA"
    tree.links.new(tree.nodes.new("ShaderNodeNewGeometry").outputs["Normal"], turned.inputs[0])
    tree.links.new(turned.outputs[0], halved.inputs[0])
    halved.operation, halved.inputs[1].default_value, halved.inputs[2].default_value = "MULTIPLY_ADD", (0.5, 0.5, -0.5), (0.5, 0.5, 0.5)
    return halved.outputs[0]


def _object_colour(tree: Any) -> Any:
    """Hues of the numbers that copies have; those of neighbours lie far apart."""
    hue, around, colour = tree.nodes.new("ShaderNodeMath"), tree.nodes.new("ShaderNodeMath"), tree.nodes.new("ShaderNodeCombineColor")
    hue.operation, hue.inputs[1].default_value, around.operation, colour.mode = "MULTIPLY", 0.618034, "FRACT", "HSV"
    tree.links.new(tree.nodes.new("ShaderNodeObjectInfo").outputs["Object Index"], hue.inputs[0])
    tree.links.new(hue.outputs[0], around.inputs[0])
    tree.links.new(around.outputs[0], colour.inputs[0])
    colour.inputs[1].default_value, colour.inputs[2].default_value = 0.8, 1.0
    return colour.outputs[0]


def _distance(tree: Any) -> Any:
    return tree.nodes.new("ShaderNodeCameraData").outputs["View Z Depth"]


def colour_of(view: View) -> bytes:
    """The surfaces' own colours as the view shows them now, as a PNG: no shadow is painted on."""
    with shining() as materials, _scene(view, materials.of, "PNG", "8") as path:
        return Path(path).read_bytes()


@contextlib.contextmanager
def shining() -> Iterator[Shining]:
    """Materials that are gone afterwards."""
    materials = Shining()
    try:
        yield materials
    finally:
        materials.remove()


def _range(view: View) -> Tuple[float, float]:
    """The nearest and farthest that anything visible can be."""
    inverse = view.world.inverted()
    distances: List[float] = [
        -(inverse @ thing.matrix_world @ Vector(corner)).z
        for thing in bpy.context.scene.objects
        if thing.type in ("MESH", "CURVE", "SURFACE", "FONT", "META") and not thing.hide_render
        for corner in thing.bound_box
    ]
    near, far = max(0.01, min(distances, default=0.1)), max(distances, default=1.0)
    return near, max(far, near + 0.01)


@contextlib.contextmanager
def _scene(view: View, wear: Any, kind: str, depth: str, raw: bool = False) -> Iterator[str]:
    """Render what is visible in a scene that is gone afterwards; gives the file's path, which is gone as well. ``wear``: the material of
    everything, or which one takes the place of another. ``raw``: numbers, not colours.
    """
    visible = [thing for thing in bpy.context.view_layer.objects if thing.visible_get() and thing.type != "LIGHT"]
    override = None if callable(wear) else wear
    scene, world = bpy.data.scenes.new(SCENE), _white()
    camera, copies = placed_camera(view, scene), []
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        try:
            for number, thing in enumerate(visible, 1):
                shown = thing
                if _can_be_copied(thing):
                    shown = copied(thing)
                    shown.pass_index = number
                    copies.append(shown)
                    dress(shown, wear if callable(wear) else lambda _: override)
                scene.collection.objects.link(shown)
            scene.camera, scene.world = camera, None if override else world
            scene.view_layers[0].material_override = override
            _set(scene, view.size, override is not None)
            scene.view_settings.view_transform = "Raw" if raw else "Standard"
            path = os.path.join(folder, "view.exr" if kind == "OPEN_EXR" else "view.png")
            settings = scene.render.image_settings
            settings.file_format, settings.color_mode, settings.color_depth = kind, "RGBA" if kind == "OPEN_EXR" else "RGB", depth
            scene.render.filepath = path
            bpy.ops.render.render(write_still=True, scene=scene.name)
            yield path
        finally:
            remove_camera(camera)
            bpy.data.scenes.remove(scene)
            bpy.data.worlds.remove(world)
            for copy in copies:
                remove_copy(copy)


def _can_be_copied(thing: Any) -> bool:
    """What instances others, or is simulated, shows as itself only; it is rendered with its own materials."""
    return thing.type in _DRESSED and thing.instance_type == "NONE" and all(step.type not in _SIMULATED for step in thing.modifiers)


def copied(thing: Any) -> Any:
    """An object and its data as they are now, in no scene."""
    if thing.mode == "EDIT":
        thing.update_from_editmode()
    copy = thing.copy()
    copy.data = thing.data.copy()
    return copy


def remove_copy(copy: Any) -> None:
    """The object and its data."""
    data = copy.data
    bpy.data.objects.remove(copy)
    bpy.data.batch_remove([data])


def dress(copy: Any, wear: Callable[[Any], Any]) -> None:
    """A material in the place of each, and of none."""
    if not copy.material_slots:
        copy.data.materials.append(None)
    for slot in copy.material_slots:
        slot.material = wear(slot.material)


def _white() -> Any:
    """A world that shines evenly."""
    world = bpy.data.worlds.new(SCENE)
    if bpy.app.version < (5, 0, 0):
        world.use_nodes = True
    nodes = world.node_tree.nodes
    nodes.clear()
    shine, output = nodes.new("ShaderNodeBackground"), nodes.new("ShaderNodeOutputWorld")
    shine.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    world.node_tree.links.new(shine.outputs[0], output.inputs["Surface"])
    return world


def _set(scene: Any, size: int, exact: bool) -> None:
    """``exact``: one ray through the middle of each pixel, and no background. Everything shines by itself, so a few rays do otherwise."""
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = (1 if exact else 4), False, False
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = ("BOX", 0.01) if exact else ("BLACKMAN_HARRIS", 1.5)
    scene.render.film_transparent, scene.render.dither_intensity = exact, 0.0
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.resolution_percentage = 100


def placed_camera(view: View, scene: Optional[Any] = None) -> Any:
    """A camera as the view's numbers say, in the scene."""
    camera = bpy.data.objects.new("Gesso view", bpy.data.cameras.new("Gesso view"))
    if view.parallel:
        camera.data.type, camera.data.ortho_scale = "ORTHO", 2 * view.half
    else:
        camera.data.angle = 2 * math.atan(view.half)
    (scene or bpy.context.scene).collection.objects.link(camera)
    camera.matrix_world = view.world
    return camera


def remove_camera(camera: Any) -> None:
    """Camera and data."""
    data = camera.data
    bpy.data.objects.remove(camera)
    bpy.data.cameras.remove(data)
