# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a projection: where the view's picture lies on a surface, where the view sees it, and how much it counts beside what other
views gave: by how squarely each saw the place. They bake nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Tuple

from .looking import View

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
class Blend:
    """The images that a bake reads: the texture so far and the weights that the views before have in it, the new picture, its depth."""

    before: Any
    weights: Any
    picture: Any
    depth: Any

    def nodes(self, tree: Any, camera: Any, view: View, layer: str, *, number: bool) -> Any:
        """The socket of the new colours, or with ``number`` of the new sum of the weights. ``layer``: the texture's UV map."""
        graph = Graph(tree)
        found = projected(graph, camera, view, self.depth)
        uv = tree.nodes.new("ShaderNodeUVMap")
        uv.uv_map = layer
        held = graph.picture(self.weights, uv.outputs[0], exact=True).outputs["Color"]
        total = graph.math("ADD", held, found.weight)
        if number:
            return total
        share = graph.math("DIVIDE", found.weight, graph.math("MAXIMUM", total, 1e-6))
        kept = graph.picture(self.before, uv.outputs[0], exact=True).outputs["Color"]
        return graph.mix(share, kept, graph.picture(self.picture, found.place).outputs["Color"])
