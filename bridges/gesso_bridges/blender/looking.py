# SPDX-License-Identifier: GPL-3.0-or-later
"""What a view sees: its camera as plain numbers, depth and colour rendered from it by material override. It projects nothing.

Rendering happens in a scene of its own that shows the same objects, so that no setting of the user's is touched.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, List, Optional, Tuple

import bpy
from mathutils import Matrix, Vector

from gesso.errors import InvalidRequest

SENSOR = 72.0
"""The 3D view shows as much as a camera of this sensor with the same lens."""

SCENE = "Gesso view"
"""What the scenes are called in which views are rendered."""


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
    material, tree = _shader("Gesso depth")
    camera_data = tree.nodes.new("ShaderNodeCameraData")
    emit(tree, camera_data.outputs["View Z Depth"])
    try:
        return _rendered(view, material, "OPEN_EXR", "32", "Gesso depth")
    finally:
        bpy.data.materials.remove(material)


def guide_of(view: View) -> bytes:
    """The same as a PNG for a ControlNet: near is white."""
    near, far = _range(view)
    material, tree = _shader("Gesso guide")
    camera_data, mapped = tree.nodes.new("ShaderNodeCameraData"), tree.nodes.new("ShaderNodeMapRange")
    for name, value in (("From Min", near), ("From Max", far), ("To Min", 1.0), ("To Max", 0.0)):
        mapped.inputs[name].default_value = value
    tree.links.new(camera_data.outputs["View Z Depth"], mapped.inputs["Value"])
    emit(tree, mapped.outputs["Result"])
    try:
        with _scene(view, material, "PNG", "8") as path:
            return Path(path).read_bytes()
    finally:
        bpy.data.materials.remove(material)


def colour_of(view: View) -> bytes:
    """The surfaces' own colours as the view shows them now, as a PNG: without lamps, in even light, so that no shadow is painted on."""
    with _scene(view, None, "PNG", "8") as path:
        return Path(path).read_bytes()


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


def _shader(name: str) -> Tuple[Any, Any]:
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    material.node_tree.nodes.clear()
    return material, material.node_tree


def emit(tree: Any, socket: Any) -> None:
    """Show a value as it is, whatever the light."""
    emission, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(socket, emission.inputs["Color"])
    tree.links.new(emission.outputs[0], output.inputs["Surface"])


def _rendered(view: View, override: Any, kind: str, depth: str, name: str) -> Any:
    with _scene(view, override, kind, depth) as path:
        image = bpy.data.images.load(path, check_existing=False)
        image.name = name
        image.colorspace_settings.name = "Non-Color"
        image.pack()
    return image


@contextlib.contextmanager
def _scene(view: View, override: Any, kind: str, depth: str) -> Iterator[str]:
    """Render what is visible in a scene that is gone afterwards; gives the file's path, which is gone as well."""
    visible = [thing for thing in bpy.context.view_layer.objects if thing.visible_get() and thing.type != "LIGHT"]
    scene, world = bpy.data.scenes.new(SCENE), _white()
    camera = placed_camera(view, scene)
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        try:
            for thing in visible:
                scene.collection.objects.link(thing)
            scene.camera, scene.world = camera, None if override else world
            scene.view_layers[0].material_override = override
            _set(scene, view.size, override is not None)
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
    """``exact``: one ray through the middle of each pixel, and no view transform."""
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = (1 if exact else 32), False, False
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = ("BOX", 0.01) if exact else ("BLACKMAN_HARRIS", 1.5)
    scene.render.film_transparent = exact
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"


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
