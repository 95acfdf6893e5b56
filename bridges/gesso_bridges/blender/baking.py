# SPDX-License-Identifier: GPL-3.0-or-later
"""Paints a picture that was made for a view onto an object, into its own UVs: projected in the shader, so that perspective is exact; only
where the view sees the surface; blended with what other views gave, by how squarely each saw it. A tile at a time: see `tiles`.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any, Iterator, List, Tuple

import bpy

from gesso.errors import InvalidRequest

from . import tiles
from .looking import View
from .tiles import Stand, named

WEIGHT = "gesso_weight"
UV_NAME = "Gesso"
BIAS = 0.01
"""How much farther than the depth map a point may be and still count as seen, as a part of its distance."""
SHARPNESS = 2.0
"""The weight of a view is the cosine between surface and view to this power: the view that saw a place most squarely wins."""


class Graph:
    """A node tree with arithmetic: sockets and numbers in, sockets out."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def math(self, operation: str, *values: Any) -> Any:
        """A Math node."""
        return self._node("ShaderNodeMath", operation, values).outputs[0]

    def vector(self, operation: str, *values: Any) -> Any:
        """A Vector Math node; a dot product gives a number."""
        node = self._node("ShaderNodeVectorMath", operation, values)
        return node.outputs["Value"] if operation == "DOT_PRODUCT" else node.outputs[0]

    def combined(self, x: Any, y: Any) -> Any:
        """Two numbers as a vector."""
        node = self.tree.nodes.new("ShaderNodeCombineXYZ")
        self.tree.links.new(x, node.inputs[0])
        self.tree.links.new(y, node.inputs[1])
        return node.outputs[0]

    def picture(self, image: Any, at: Any, *, exact: bool = False) -> Any:
        """An Image Texture node that reads at a place."""
        node = self.tree.nodes.new("ShaderNodeTexImage")
        node.image, node.extension = image, "CLIP"
        node.interpolation = "Closest" if exact else "Linear"
        self.tree.links.new(at, node.inputs[0])
        return node

    def mix(self, factor: Any, first: Any, second: Any) -> Any:
        """Colours; the old node, which every Blender still has."""
        node = self.tree.nodes.new("ShaderNodeMixRGB")
        for socket, value in zip(node.inputs, (factor, first, second)):
            self.tree.links.new(value, socket)
        return node.outputs[0]

    def _node(self, kind: str, operation: str, values: Tuple[Any, ...]) -> Any:
        node = self.tree.nodes.new(kind)
        node.operation = operation
        for socket, value in zip(node.inputs, values):
            if isinstance(value, (int, float, tuple)):
                socket.default_value = value
            else:
                self.tree.links.new(value, socket)
        return node


@dataclass(frozen=True)
class Projection:
    """Where a point of the surface lies in the view's picture, how far, and how much the view counts there."""

    place: Any
    weight: Any


def projected(graph: Graph, camera: Any, view: View, depth: Any) -> Projection:
    """Nodes for every point of whatever is shaded."""
    coordinates = graph.tree.nodes.new("ShaderNodeTexCoord")
    coordinates.object = camera
    parts = graph.tree.nodes.new("ShaderNodeSeparateXYZ")
    graph.tree.links.new(coordinates.outputs["Object"], parts.inputs[0])
    away = graph.math("MULTIPLY", parts.outputs["Z"], -1.0)
    across = 1.0 if view.parallel else away
    scale = 1.0 / (2.0 * view.half)
    u, v = (graph.math("ADD", graph.math("MULTIPLY", graph.math("DIVIDE", parts.outputs[axis], across), scale), 0.5) for axis in ("X", "Y"))
    seen: Any = graph.math("GREATER_THAN", away, 0.0)
    step = 1.0 / view.size
    for right, up in ((0.0, 0.0), (step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step)):
        # The neighbours too: at the rim of what hides it, a point is given up rather than painted with what is before it.
        node = graph.picture(depth, graph.combined(graph.math("ADD", u, right), graph.math("ADD", v, up)), exact=True)
        nearest = graph.math("MULTIPLY", node.outputs["Color"], 1.0 + BIAS)
        near = graph.math("LESS_THAN", away, nearest)
        empty = graph.math("LESS_THAN", node.outputs["Alpha"], 0.5)  # nothing there: the object's own outline
        inside = near if (right, up) == (0.0, 0.0) else graph.math("MAXIMUM", near, empty)
        seen = graph.math("MULTIPLY", seen, inside)
    geometry = graph.tree.nodes.new("ShaderNodeNewGeometry")
    towards = graph.vector("NORMALIZE", graph.vector("SUBTRACT", tuple(view.world.translation), geometry.outputs["Position"]))
    facing = graph.math("MAXIMUM", graph.vector("DOT_PRODUCT", geometry.outputs["True Normal"], towards), 0.0)
    return Projection(graph.combined(u, v), graph.math("MULTIPLY", seen, graph.math("POWER", facing, SHARPNESS)))


@dataclass(frozen=True)
class Work:
    """What is painted onto what, by names. ``layer``: the UV map of the texture. ``before``: the texture so far, and the weights of the
    views that made it.
    """

    target: str
    stand: Stand
    picture: str
    depth: str
    layer: str
    size: int
    before: Tuple[str, ...]


def project(target: Any, picture: Any, view: View, depth: Any, size: int) -> Iterator[float]:
    """The picture into the object's texture, in steps: yields how far it is. Raises InvalidRequest for what has no surface to paint, and
    where undo or another file took away what it needs.
    """
    if target.type != "MESH" or not target.data.polygons:
        raise InvalidRequest(f"{target.name!r} has no faces to project onto.", field="object_name", hint="Choose a mesh.")
    layer = _uv_layer(target)
    names = (target.name, tiles.stand_in(target, view), picture.name, depth.name, layer, size)
    ours: Tuple[str, ...] = ()
    try:
        before = _texture_of(target)
        coloured = not before and bool(target.material_slots)
        if not before:
            before = ours = (_named_image(f"{target.name} before", size), _named_image(f"{target.name} no weight", size, number=True))
        work = Work(*names, before)
        shown = tiles.pictures(work.stand) if coloured else []
        steps = _painted(work, shown, coloured=coloured)
        whole = len(shown) + (3 if coloured else 2) * tiles.count(size) + _LAST
        for done, _ in enumerate(steps, 1):
            yield done / (whole + 1)  # the material comes last
    finally:
        tiles.remove(names[1])
        for name in ours:
            image = bpy.data.images.get(name)
            if image is not None:
                bpy.data.images.remove(image)


_LAST = 4
"""Steps after the tiles: two images filled, two packed."""


def _painted(work: Work, shown: List[str], *, coloured: bool) -> Iterator[None]:
    """What the object shows is decoded, then the bakes, then the images, each a step of its own."""
    for name in shown:
        tuple(named(bpy.data.images, name).size)  # Blender decodes a picture when it is first looked at; a bake would wait for all
        yield
    if coloured:
        first = yield from tiles.baked(work.stand, work.size, None)
        named(bpy.data.images, work.before[0]).pixels.foreach_set(first)
        del first
    made = []
    for wanted, number in (("projected", False), ("weight", True)):
        pixels = yield from tiles.baked(work.stand, work.size, _blending(work, number), number=number)
        made.append(_named_image(f"{work.target} {wanted}", work.size, number=number, pixels=pixels))
        del pixels
        yield
        named(bpy.data.images, made[-1]).pack()
        yield
    colours, sums = (named(bpy.data.images, name) for name in made)
    material = _material(named(bpy.data.objects, work.target), colours, work.layer)
    material[WEIGHT] = sums  # the image itself: Blender keeps with a file only what something uses


def _named_image(name: str, size: int, **words: Any) -> str:
    return str(tiles.new_image(name, size, **words).name)


def _blending(work: Work, weight: bool) -> tiles.Build:
    """The nodes of a bake: colours, or the sum of the weights."""

    def build(tree: Any, camera: Any) -> Any:
        old, weights, picture, depth = (named(bpy.data.images, name) for name in (*work.before, work.picture, work.depth))
        graph = Graph(tree)
        found = projected(graph, camera, work.stand.view, depth)
        uv = tree.nodes.new("ShaderNodeUVMap")
        uv.uv_map = work.layer
        held = graph.picture(weights, uv.outputs[0], exact=True).outputs["Color"]
        total = graph.math("ADD", held, found.weight)
        if weight:
            return total
        share = graph.math("DIVIDE", found.weight, graph.math("MAXIMUM", total, 1e-6))
        kept = graph.picture(old, uv.outputs[0], exact=True).outputs["Color"]
        return graph.mix(share, kept, graph.picture(picture, found.place).outputs["Color"])

    return build


def _texture_of(target: Any) -> Tuple[str, ...]:
    """Names of the texture that earlier views painted, and of their weights; empty where there is none."""
    material = target.active_material
    weights = None if material is None else material.get(WEIGHT)
    shown = None if material is None or material.node_tree is None else material.node_tree.nodes.get("Gesso projection")
    return () if weights is None or shown is None or shown.image is None else (shown.image.name, weights.name)


@contextlib.contextmanager
def _alone(target: Any) -> Iterator[None]:
    """The object is active, selected and in object mode; everything is as before afterwards."""
    layer = bpy.context.view_layer
    active, selected = layer.objects.active, [thing for thing in layer.objects if thing.select_get()]
    mode = target.mode
    windows = bpy.context.window_manager.windows
    with bpy.context.temp_override(window=windows[0]) if windows and bpy.context.window is None else contextlib.nullcontext():
        layer.objects.active = target
        if mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        for thing in selected:
            thing.select_set(False)
        target.select_set(True)
        try:
            yield
        finally:
            target.select_set(False)
            if mode != "OBJECT":
                bpy.ops.object.mode_set(mode=mode)
            for thing in selected:
                thing.select_set(True)
            layer.objects.active = active


def _uv_layer(target: Any) -> str:
    """The layer that the texture uses: the active one, else a new one without overlaps."""
    layers = target.data.uv_layers
    if layers.active is not None:
        layers.active.active_render = True
        return str(layers.active.name)
    layers.new(name=UV_NAME)
    with _alone(target):
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.uv.smart_project(angle_limit=math.radians(66), island_margin=0.02)
        bpy.ops.object.mode_set(mode="OBJECT")
    return str(target.data.uv_layers.active.name)


def _material(target: Any, image: Any, layer: str) -> Any:
    """A material that shows the texture, in every slot: one image for each object."""
    material = bpy.data.materials.new(f"{target.name} projected")
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    uv, node = tree.nodes.new("ShaderNodeUVMap"), tree.nodes.new("ShaderNodeTexImage")
    uv.uv_map, node.image, node.name = layer, image, "Gesso projection"
    uv.location, node.location = (-600, 200), (-350, 200)
    tree.links.new(uv.outputs[0], node.inputs["Vector"])
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    shader.inputs["Roughness"].default_value = 0.8
    if not target.material_slots:
        target.data.materials.append(material)
    for slot in target.material_slots:
        slot.material = material
    return material
