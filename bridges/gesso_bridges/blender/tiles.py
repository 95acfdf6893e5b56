# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes into an object's UVs a tile at a time, so that Blender never stands still for longer than a tile takes.

A stand-in is baked, in a scene of its own: nothing of the user's is selected, switched or set. Between two tiles nothing of Blender's is
held but names: undo and loading a file free what references point to.
"""

from __future__ import annotations

import contextlib
from array import array
from dataclasses import dataclass
from typing import Any, Callable, Generator, Iterator, List, Optional, Tuple

import bpy

from gesso.errors import InvalidRequest

from . import looking
from .looking import View

TILE = 512
"""Texels along the edge of what is baked at once."""
MARGIN = 8
_LAYER = "Gesso tile"

Build = Callable[[Any, Any], Any]
"""(node tree, camera of the view) -> the socket that is to be seen."""


@dataclass(frozen=True)
class Stand:
    """``name``: of a copy of the object, which no scene shows. ``view``: the one whose camera stands beside it."""

    name: str
    view: View


def named(kind: Any, name: str) -> Any:
    """A data block by its name; raises InvalidRequest where undo or another file took it away."""
    found = kind.get(name)
    if found is None:
        raise InvalidRequest(f"{name!r} is no longer there.", hint="Use the result again.")
    return found


def stand_in(target: Any, view: View) -> Stand:
    """A copy of the object as it is now, with a UV map more, which says where in the tile a place is; `remove` ends it."""
    copy = looking.copied(target)
    if copy.data.uv_layers.new(name=_LAYER, do_init=True) is None:
        looking.remove_copy(copy)
        raise InvalidRequest(f"{target.name!r} has as many UV maps as a mesh can have.", hint="Remove one.")
    copy.hide_render = copy.hide_viewport = False
    warp = copy.modifiers.new(_LAYER, "UV_WARP")
    warp.uv_layer, warp.center = _LAYER, (0.0, 0.0)
    return Stand(copy.name, view)


def remove(stand: Stand) -> None:
    """The copy and its mesh."""
    copy = bpy.data.objects.get(stand.name)
    if copy is not None:
        looking.remove_copy(copy)


def pictures(stand: Stand) -> List[str]:
    """Names of the images that the stand-in's colours come from."""
    with looking.shining() as materials:
        for slot in named(bpy.data.objects, stand.name).material_slots:
            materials.of(slot.material)
        return materials.pictures()


def count(size: int) -> int:
    """How many tiles a texture has."""
    return (size // min(TILE, size)) ** 2


def baked(stand: Stand, size: int, build: Optional[Build], *, number: bool = False) -> Generator[None, None, memoryview]:
    """Four floats for each texel, the lowest row first; yields after each tile. Without ``build``: the colours that the materials have."""
    edge = min(TILE, size)
    wide = edge + 2 * MARGIN  # what lies around a tile, so that margins go on from one into the next
    whole = memoryview(array("f", (0.0,)) * (4 * size * size))
    for bottom in range(0, size, edge):
        for left in range(0, size, edge):
            part = _tile(stand, (left, bottom), size, new_image("Gesso tile", wide, number=number), build)
            for row in range(edge):
                into, out = 4 * ((bottom + row) * size + left), 4 * ((MARGIN + row) * wide + MARGIN)
                whole[into : into + 4 * edge] = part[out : out + 4 * edge]
            yield
    return whole


def new_image(name: str, size: int, *, number: bool = False, pixels: Optional[memoryview] = None) -> Any:
    """Numbers in 32 bits, or colours; black or grey where there are no pixels."""
    image = bpy.data.images.new(name, size, size, alpha=False, float_buffer=number)
    image.colorspace_settings.name = "Non-Color" if number else "sRGB"
    image.generated_color = (0.0, 0.0, 0.0, 1.0) if number else (0.5, 0.5, 0.5, 1.0)
    if pixels is not None:
        image.pixels.foreach_set(pixels)
        image.update()
    return image


def _tile(stand: Stand, corner: Tuple[int, int], size: int, image: Any, build: Optional[Build]) -> memoryview:
    wide = image.size[0]
    try:
        copy = named(bpy.data.objects, stand.name)
        warp = copy.modifiers[_LAYER]
        warp.offset = [(MARGIN - at) / size for at in corner]  # added before it is scaled
        warp.scale = (size / wide, size / wide)
        with _scene(copy, stand.view) as camera, _worn(copy, camera, build) as materials:
            _aim(materials, image)
            bpy.ops.object.bake(type="EMIT", uv_layer=_LAYER, margin=MARGIN, use_clear=True)
        pixels = array("f", (0.0,)) * (4 * wide * wide)
        image.pixels.foreach_get(pixels)
        return memoryview(pixels)
    finally:
        bpy.data.images.remove(image)


@contextlib.contextmanager
def _worn(copy: Any, camera: Any, build: Optional[Build]) -> Iterator[List[Any]]:
    """What the stand-in wears while it is baked: the nodes' material, else its own colours."""
    before = [slot.material for slot in copy.material_slots]
    with looking.shining() as materials:
        shown = None if build is None else materials.showing(lambda tree: build(tree, camera))
        looking.dress(copy, materials.of if shown is None else lambda _: shown)
        try:
            yield [slot.material for slot in copy.material_slots]
        finally:
            for slot, old in zip(copy.material_slots, before):
                slot.material = old
            if not before:
                copy.data.materials.clear()


def _aim(materials: List[Any], image: Any) -> None:
    """The active image node of each material is where a bake goes."""
    for material in dict.fromkeys(materials):
        nodes = material.node_tree.nodes
        node = nodes.new("ShaderNodeTexImage")
        node.image, node.select = image, True
        nodes.active = node


@contextlib.contextmanager
def _scene(copy: Any, view: View) -> Iterator[Any]:
    """A scene with nothing but the stand-in and the view's camera, which it gives, as baking wants it; gone afterwards. Denoising would
    blur what is exact, and blacken it where Blender was built without a denoiser.
    """
    scene = bpy.data.scenes.new(looking.SCENE)
    camera = looking.placed_camera(view, scene)
    windows = bpy.context.window_manager.windows
    try:
        scene.collection.objects.link(copy)
        scene.render.engine = "CYCLES"
        scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.device = 1, False, "CPU"
        layer = scene.view_layers[0]
        layer.objects.active = copy
        copy.select_set(True, view_layer=layer)
        words = {"scene": scene, "view_layer": layer, "active_object": copy, "object": copy, "selected_objects": [copy]}
        if windows and bpy.context.window is None:
            words["window"] = windows[0]
        with bpy.context.temp_override(**words):
            yield camera
    finally:
        looking.remove_camera(camera)
        bpy.data.scenes.remove(scene)
