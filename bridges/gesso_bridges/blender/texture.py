# SPDX-License-Identifier: GPL-3.0-or-later
"""The texture that an object is painted with, one for each: a picture is painted on, and what comes of it is taken into the file. What
the views before have given is in it, and their weights are kept beside it.
"""

from __future__ import annotations

import contextlib
from array import array
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import bpy

from gesso.errors import InvalidRequest

from . import aside, baking, images
from .baking import Work
from .looking import View

WEIGHT = "gesso_weight"
_NODE = "Gesso projection"
_PAINTED = 0.95
"""How far it is when what was painted is still to be taken into the file."""


def project(target: Any, picture: bytes, view: View, depth: Any, size: int) -> Iterator[float]:
    """The picture into the object's texture, in steps: yields how far it is. Raises InvalidRequest for what has no surface to paint, and
    where undo or another file took away what it needs.
    """
    if target.type != "MESH" or not target.data.polygons:
        raise InvalidRequest(f"{target.name!r} has no faces to project onto.", field="object_name", hint="Choose a mesh.")
    name, layer, before = target.name, target.data.uv_layers.active, of(target)
    coloured, frame = not before and bool(target.material_slots), bpy.context.scene.frame_current
    with aside.Workplace() as place:
        (place.folder / baking.PICTURE).write_bytes(picture)
        with baking.standing(target, coloured) as (stand, pictures):
            work = Work(stand.name, view, depth.name, "" if layer is None else layer.name, size, frame, coloured, before)
            if bpy.app.background:
                for done, _ in enumerate(baking.bake(work, place.folder)):
                    yield _PAINTED * done / baking.steps(work)
            else:
                place.lay_out(work, [depth.name, *before, *pictures])
        if not bpy.app.background:
            for part in place.bake():
                yield _PAINTED * part
        for done, _ in enumerate(_taken(name, work.layer, place.folder)):
            yield _PAINTED + 0.01 * done


def of(target: Any) -> Tuple[str, ...]:
    """Names of the texture that earlier views painted, and of their weights; empty where there is none."""
    material = target.active_material
    weights = None if material is None else material.get(WEIGHT)
    shown = None if material is None or material.node_tree is None else material.node_tree.nodes.get(_NODE)
    return () if weights is None or shown is None or shown.image is None else (shown.image.name, weights.name)


def _taken(name: str, layer: str, folder: Path) -> Iterator[None]:
    """The files into the object's new material, each in a step of its own. Whoever stops in between has nothing of it."""
    made: List[str] = []
    try:
        for file, words, colour in ((baking.COLOURS, "projected", True), (baking.WEIGHTS, "weight", False)):
            made.append(images.from_path(f"{name} {words}", folder / file, colour=colour).name)
            yield
        target = bpy.data.objects.get(name)
        found = [bpy.data.images.get(image) for image in made]
        if target is None or None in found:
            raise InvalidRequest(f"The object {name!r} is no longer there.", hint="Undo what removed it, and use the result again.")
        material = _material(target, found[0], layer or _unwrapped(target, folder / baking.UVS))
        material[WEIGHT] = found[1]  # the image itself: Blender keeps with a file only what something uses
        made.clear()
    finally:
        for image in made:
            images.remove(image)


def _unwrapped(target: Any, path: Path) -> str:
    """The UV map that was made for the bake, on the object itself; its name."""
    values = array("f")
    values.frombytes(path.read_bytes())
    with _in_object_mode(target):
        if len(values) != 2 * len(target.data.loops):
            raise InvalidRequest(f"The mesh of {target.name!r} was changed meanwhile.", hint="Use the result again.")
        layer = target.data.uv_layers.new(name=baking.UV_NAME)
        layer.data.foreach_set("uv", values)
        return str(layer.name)


@contextlib.contextmanager
def _in_object_mode(target: Any) -> Iterator[None]:
    """Its data can be written, even where it is being edited."""
    if target.mode != "EDIT":
        yield
        return
    objects, windows = bpy.context.view_layer.objects, bpy.context.window_manager.windows
    active = objects.active
    with bpy.context.temp_override(window=windows[0]) if windows and bpy.context.window is None else contextlib.nullcontext():
        objects.active = target
        bpy.ops.object.mode_set(mode="OBJECT")
        try:
            yield
        finally:
            bpy.ops.object.mode_set(mode="EDIT")
            objects.active = active


def _material(target: Any, image: Any, layer: str) -> Any:
    """A material that shows the texture, in every slot: one image for each object."""
    material = bpy.data.materials.new(f"{target.name} projected")
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    uv, node = tree.nodes.new("ShaderNodeUVMap"), tree.nodes.new("ShaderNodeTexImage")
    uv.uv_map, node.image, node.name = layer, image, _NODE
    uv.location, node.location = (-600, 200), (-350, 200)
    tree.links.new(uv.outputs[0], node.inputs["Vector"])
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    shader.inputs["Roughness"].default_value = 0.8
    if not target.material_slots:
        target.data.materials.append(material)
    for slot in target.material_slots:
        slot.material = material
    return material
