# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest preview of a job on the object that its result is for, drawn over the 3D view. It touches nothing in the file, so there is
nothing to undo, to save or to take away afterwards.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Tuple

import bpy
from mathutils import Matrix

import gpu

from . import previews, runtime
from .looking import View

if TYPE_CHECKING:
    from ..panel.task import Task

MOST_CORNERS = 150_000
"""Of the triangles of an object; a larger one shows its preview in the panel only, because gathering its corners would be felt."""
UV, BOX, PROJECTED = range(3)

_STRUCT = "struct Seen { mat4 to_screen; mat4 to_eye; mat4 to_view; vec4 numbers; };"
"""``numbers``: how the picture lies, tiles, half the width of the projecting view, 1 where that is parallel."""
_VERTEX = """
void main() {
    place = pos; at = uv;
    gl_Position = seen.to_screen * vec4(pos, 1.0);
    gl_Position.z -= 0.0005 * gl_Position.w;  // in front of the surface itself
}
"""
_FRAGMENT = """
void main() {
    vec3 facing = normalize(cross(dFdx(place), dFdy(place)));
    vec3 side = abs(facing);
    vec2 there = at;
    if (seen.numbers.x == 1.0) there = side.x > side.y && side.x > side.z ? place.yz : side.y > side.z ? place.xz : place.xy;
    if (seen.numbers.x == 2.0) {
        vec4 point = seen.to_view * vec4(place, 1.0);
        there = point.xy / (2.0 * seen.numbers.z * (seen.numbers.w == 1.0 ? 1.0 : -point.z)) + 0.5;
        if (any(lessThan(there, vec2(0.0))) || any(greaterThan(there, vec2(1.0)))) discard;
    }
    vec3 colour = pow(texture(image, fract(there * seen.numbers.y)).rgb, vec3(2.2));  // the view expects light, not sRGB
    float light = 0.55 + 0.45 * abs(normalize(mat3(seen.to_eye) * facing).z);
    drawn = vec4(colour * light, 1.0);
}
"""


@dataclass(frozen=True)
class Shown:
    """What is drawn for one preview."""

    key: str
    batch: Any
    texture: Any


_shown: Dict[int, Shown] = {}
_kept: Dict[str, Any] = {}


def begin() -> None:
    """Draw from now on, in every 3D view."""
    _kept["handle"] = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW")


def end() -> None:
    """Draw no longer."""
    handle = _kept.pop("handle", None)
    if handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(handle, "WINDOW")
    _kept.clear()
    _shown.clear()


def target_of(task: Task) -> Any:
    """The mesh that a job's result is for, or None."""
    memo = task.memo.get("projection") or (task.memo if task.operation == "texture" else {})
    found = bpy.data.objects.get(str(memo.get("object")))
    return found if found is not None and found.type == "MESH" else None


def wanted(tasks: List[Task]) -> Tuple[Optional[str], ...]:
    """Names of what is to be seen now: the views are drawn again when they change."""
    return tuple(previews.key_of(task) for task in tasks if task.preview is not None and target_of(task) is not None)


def _draw() -> None:
    tasks = runtime.current().open_tasks
    for gone in set(_shown) - {task.number for task in tasks}:
        del _shown[gone]
    for task in tasks:
        target = target_of(task) if task.preview is not None else None
        if target is not None and target.visible_get():
            _draw_one(task, target)


def _draw_one(task: Task, target: Any) -> None:
    key = previews.key_of(task)
    shown = _shown.get(task.number)
    if key is not None and (shown is None or shown.key != key):
        picture, corners = previews.of_task(task), _batch(target)
        if picture is None or corners is None:
            return
        shown = _shown[task.number] = Shown(key, corners, _texture(picture))
    if shown is None:
        return
    shader, numbers = _shader(), _numbers(task, target)
    block = gpu.types.GPUUniformBuf(gpu.types.Buffer("FLOAT", len(numbers), numbers))
    shader.bind()
    shader.uniform_block("seen", block)
    shader.uniform_sampler("image", shown.texture)
    gpu.state.depth_test_set("LESS_EQUAL")
    try:
        shown.batch.draw(shader)
    finally:
        gpu.state.depth_test_set("NONE")


def _numbers(task: Task, target: Any) -> List[float]:
    """What the shader's struct holds, matrices column by column."""
    memo, eye = task.memo, gpu.matrix.get_model_view_matrix() @ target.matrix_world
    mapping, tiles = BOX if memo.get("mapping") == "BOX" or not target.data.uv_layers else UV, float(memo.get("tiles", 1.0))
    to_view, half, parallel = Matrix(), 1.0, False
    if "projection" in memo:
        seen = View(**memo["projection"]["view"])
        mapping, tiles, to_view, half, parallel = PROJECTED, 1.0, seen.world.inverted() @ target.matrix_world, seen.half, seen.parallel
    matrices = (gpu.matrix.get_projection_matrix() @ eye, eye, to_view)
    return [part for matrix in matrices for column in matrix.col for part in column] + [float(mapping), tiles, half, float(parallel)]


def _shader() -> Any:
    if "shader" not in _kept:
        between = gpu.types.GPUStageInterfaceInfo("gesso_preview")
        about = gpu.types.GPUShaderCreateInfo()
        for kind, name in (("VEC3", "place"), ("VEC2", "at")):
            between.smooth(kind, name)
        for number, (kind, name) in enumerate((("VEC3", "pos"), ("VEC2", "uv"))):
            about.vertex_in(number, kind, name)
        about.typedef_source(_STRUCT)
        about.uniform_buf(0, "Seen", "seen")
        about.sampler(0, "FLOAT_2D", "image")
        about.vertex_out(between)
        about.fragment_out(0, "VEC4", "drawn")
        about.vertex_source(_VERTEX)
        about.fragment_source(_FRAGMENT)
        _kept["shader"] = gpu.shader.create_from_info(about)
    return _kept["shader"]


def _texture(picture: Any) -> Any:
    width, height = picture.image_size
    pixels = array("f", bytes(16 * width * height))
    picture.image_pixels_float.foreach_get(pixels)
    return gpu.types.GPUTexture((width, height), format="RGBA16F", data=gpu.types.Buffer("FLOAT", len(pixels), pixels))


def _batch(target: Any) -> Any:
    """The triangles of the object as it is shown, or None where there are too many."""
    evaluated = target.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    try:
        mesh.calc_loop_triangles()
        count = 3 * len(mesh.loop_triangles)
        if not 0 < count <= MOST_CORNERS:
            return None
        return _filled(mesh, count)
    finally:
        evaluated.to_mesh_clear()


def _filled(mesh: Any, count: int) -> Any:
    vertices, loops = _indices(mesh.loop_triangles, "vertices", count), _indices(mesh.loop_triangles, "loops", count)
    layer = mesh.uv_layers.active
    values = {
        "pos": _gathered(mesh.vertices, "co", 3, vertices),
        "uv": _gathered(layer.data, "uv", 2, loops) if layer is not None else memoryview(bytes(8 * count)).cast("f", (count, 2)),
    }
    form = gpu.types.GPUVertFormat()
    for name, width in (("pos", 3), ("uv", 2)):
        form.attr_add(id=name, comp_type="F32", len=width, fetch_mode="FLOAT")
    corners = gpu.types.GPUVertBuf(format=form, len=count)
    for name, rows in values.items():
        corners.attr_fill(id=name, data=rows)
    return gpu.types.GPUBatch(type="TRIS", buf=corners)


def _indices(triangles: Any, name: str, count: int) -> "array[int]":
    found = array("i", bytes(4 * count))
    triangles.foreach_get(name, found)
    return found


def _gathered(elements: Any, name: str, width: int, order: "array[int]") -> Any:
    """A value of every element, in the order of corners, as a memoryview of rows."""
    plain = array("f", bytes(4 * width * len(elements)))
    elements.foreach_get(name, plain)

    def rows() -> Iterator[float]:
        for index in order:
            yield from plain[width * index : width * (index + 1)]

    return memoryview(array("f", rows())).cast("B").cast("f", (len(order), width))
