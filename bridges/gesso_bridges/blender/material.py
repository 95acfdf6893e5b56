# SPDX-License-Identifier: GPL-3.0-or-later
"""A material from the maps of one result: Principled BSDF with every map in its place and its colour space. It knows no daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Mapping

import bpy

from . import images

if TYPE_CHECKING:
    from gesso.client import ResultImage

SOCKETS: Mapping[str, str] = {"base_color": "Base Color", "roughness": "Roughness", "metallic": "Metallic"}
"""Maps that go straight into the Principled BSDF; their sockets have the same name in every Blender."""
COLOURED = ("base_color", "emission", "image")
_STEP = 320


@dataclass(frozen=True)
class Look:
    """How the maps lie on the object. ``mapping``: UV or BOX. ``tiles``: repetitions along each axis. ``relief``: height in metres."""

    mapping: str = "UV"
    tiles: float = 1.0
    relief: float = 0.02


def build(name: str, maps: Mapping[str, ResultImage], look: Look) -> Any:
    """A new material; nothing uses it yet."""
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True  # later ones always have nodes, and say that this is deprecated
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")  # by type: names are translated
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    vector = _mapping(tree, look)
    nodes: Dict[str, Any] = {}
    for row, (role, picture) in enumerate(maps.items()):
        nodes[role] = node = tree.nodes.new("ShaderNodeTexImage")
        node.image = images.from_file(f"{name} {role.replace('_', ' ')}", picture.read(), colour=role in COLOURED)
        node.label = role.replace("_", " ").capitalize()
        node.location = (-2 * _STEP, 300 - row * 290)
        if look.mapping == "BOX":
            node.projection, node.projection_blend = "BOX", 0.25
        tree.links.new(vector, node.inputs["Vector"])
        if role in SOCKETS:
            tree.links.new(node.outputs["Color"], shader.inputs[SOCKETS[role]])
    _relief(tree, shader, output, nodes, look)
    return material


def _mapping(tree: Any, look: Look) -> Any:
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    coordinates.location = (-4 * _STEP, 0)
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.location = (-3 * _STEP, 0)
    mapping.inputs["Scale"].default_value = (look.tiles, look.tiles, look.tiles)
    source = "UV" if look.mapping == "UV" else "Object"
    tree.links.new(coordinates.outputs[source], mapping.inputs["Vector"])
    return mapping.outputs["Vector"]


def _relief(tree: Any, shader: Any, output: Any, nodes: Mapping[str, Any], look: Look) -> None:
    """Normals from the normal map where there are UVs, from the height where there are none; true displacement where it is asked for."""
    if "normal" in nodes and look.mapping == "UV":
        normal = tree.nodes.new("ShaderNodeNormalMap")
        tree.links.new(nodes["normal"].outputs["Color"], normal.inputs["Color"])
        tree.links.new(normal.outputs["Normal"], shader.inputs["Normal"])
        normal.location = (-_STEP, -300)
    elif "height" in nodes:
        bump = tree.nodes.new("ShaderNodeBump")
        bump.inputs["Distance"].default_value = look.relief
        tree.links.new(nodes["height"].outputs["Color"], bump.inputs["Height"])
        tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
        bump.location = (-_STEP, -300)
    if "height" in nodes and look.relief > 0:
        displacement = tree.nodes.new("ShaderNodeDisplacement")
        displacement.inputs["Midlevel"].default_value = 0.5
        displacement.inputs["Scale"].default_value = look.relief
        displacement.location = (0, -500)
        tree.links.new(nodes["height"].outputs["Color"], displacement.inputs["Height"])
        tree.links.new(displacement.outputs["Displacement"], output.inputs["Displacement"])


def assign(target: Any, slot: int, material: Any) -> None:
    """Put it into a slot of the object, which gets one where it has none."""
    slots = target.material_slots
    if 0 <= slot < len(slots):
        slots[slot].material = material
    elif target.data is not None and hasattr(target.data, "materials"):
        target.data.materials.append(material)


def base_image(target: Any) -> Any:
    """The picture that the object's active material shows as its colour, or None."""
    material = None if target is None else target.active_material
    if material is None or material.node_tree is None:
        return None
    for node in material.node_tree.nodes:
        if node.type == "BSDF_PRINCIPLED" and node.inputs["Base Color"].links:
            source = node.inputs["Base Color"].links[0].from_node
            return source.image if source.type == "TEX_IMAGE" else None
    return None
