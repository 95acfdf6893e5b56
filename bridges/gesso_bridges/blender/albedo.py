# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials that shine, so that one ray says what is painted on a surface, whatever the light. They show a value, or are copies of others
that keep only what the colours come from: no other picture has to be decoded and loaded for a render.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List

import bpy

_COLOURS = ("Base Color", "Color")
_SHADERS = ("SUBSURFACE_SCATTERING", "EEVEE_SPECULAR")
"""Surfaces beside those whose type begins with BSDF; what is transparent stays so, and what shines goes on to shine."""


class Shining:
    """One copy for each material; `remove` takes all of them away."""

    def __init__(self) -> None:
        self._copies: Dict[Any, Any] = {}
        self._built: List[Any] = []
        self._groups: List[Any] = []

    def of(self, material: Any) -> Any:
        """The copy of a material, or of what a slot without one looks like."""
        if material not in self._copies:
            tree = None if material is None else material.node_tree
            if tree is None or (bpy.app.version < (5, 0, 0) and not material.use_nodes):
                colour = (0.8, 0.8, 0.8, 1.0) if material is None else tuple(material.diffuse_color)
                self._copies[material] = self.showing(lambda tree: _colour(tree, colour))
            else:
                copy = self._copies[material] = material.copy()
                self._built.append(copy)
                self._flatten(copy.node_tree)
        return self._copies[material]

    def showing(self, build: Callable[[Any], Any]) -> Any:
        """A material that shows the socket which ``build`` makes in its node tree."""
        material = bpy.data.materials.new("Gesso shown")
        self._built.append(material)
        if bpy.app.version < (5, 0, 0):
            material.use_nodes = True
        tree = material.node_tree
        tree.nodes.clear()
        emission, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
        tree.links.new(build(tree), emission.inputs["Color"])
        tree.links.new(emission.outputs[0], output.inputs["Surface"])
        return material

    def pictures(self) -> List[str]:
        """Names of the images that the colours come from."""
        trees = [material.node_tree for material in self._built] + self._groups
        images = [node.image for tree in trees for node in tree.nodes if node.type == "TEX_IMAGE" and node.image is not None]
        return [image.name for image in dict.fromkeys(images)]

    def remove(self) -> None:
        """They are needed no longer."""
        for material in self._built:
            bpy.data.materials.remove(material)
        for group in self._groups:
            bpy.data.node_groups.remove(group)
        self._copies.clear()
        self._built.clear()
        self._groups.clear()

    def _flatten(self, tree: Any) -> None:
        for node in list(tree.nodes):
            if node.type == "GROUP" and node.node_tree is not None:
                node.node_tree = node.node_tree.copy()
                self._groups.append(node.node_tree)
                self._flatten(node.node_tree)
            elif node.type == "OUTPUT_MATERIAL":
                for name in ("Volume", "Displacement"):
                    for link in list(node.inputs[name].links):
                        tree.links.remove(link)
            elif node.type in _SHADERS or (node.type.startswith("BSDF_") and node.type != "BSDF_TRANSPARENT"):
                _shine(tree, node)
        needed = _reached(tree)
        for node in list(tree.nodes):
            if node not in needed:  # Cycles would load its picture all the same
                tree.nodes.remove(node)


def _shine(tree: Any, node: Any) -> None:
    """An emission of its colour in the place of a shader."""
    emission = tree.nodes.new("ShaderNodeEmission")
    colour = next((node.inputs[name] for name in _COLOURS if name in node.inputs), None)
    if colour is not None:
        emission.inputs["Color"].default_value = colour.default_value
        for link in list(colour.links):
            tree.links.new(link.from_socket, emission.inputs["Color"])
    for link in list(node.outputs[0].links):
        tree.links.new(emission.outputs[0], link.to_socket)
    tree.nodes.remove(node)


def _reached(tree: Any) -> List[Any]:
    """The nodes that the outputs depend on."""
    found: Dict[Any, None] = {}
    waiting = [node for node in tree.nodes if node.type in ("OUTPUT_MATERIAL", "GROUP_OUTPUT")]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = None
            waiting.extend(link.from_node for socket in node.inputs for link in socket.links)
    return list(found)


def _colour(tree: Any, colour: Any) -> Any:
    """A socket of one colour."""
    node = tree.nodes.new("ShaderNodeRGB")
    node.outputs[0].default_value = colour
    return node.outputs[0]
