# SPDX-License-Identifier: GPL-3.0-or-later
"""Paints a picture that was made for a view onto an object, into its own UVs, in whichever Blender it runs: see `aside`.

A stand-in is baked, in a scene of its own: nothing of the user's is selected, switched or set. What comes of it are files.
"""

from __future__ import annotations

import contextlib
import math
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import bpy

from gesso.errors import InvalidRequest

from . import looking
from .looking import View
from .shading import Blend

MARGIN = 8
"""Texels around each island that get its colours."""
UV_NAME = "Gesso"
PICTURE, COLOURS, WEIGHTS, UVS = "picture", "colours.png", "weights.exr", "uvs"
"""Files: the first is painted, the others come of it. Where a UV map was made, its file holds pairs of 32 bit floats."""
TILE = 1024
"""Texels along the edge of what is baked at once: for each Blender keeps a hundred times as much as for the texel itself."""

_CARRIERS = ("OBJECT", "BONE", "VERTEX", "VERTEX_3")
"""How a parent carries an object; other ways bend it."""


@dataclass(frozen=True)
class Work:
    """What is painted onto what, data blocks by their names. ``layer``: the UV map of the texture, empty where one is to be made.
    ``coloured``: what the stand-in shows is the ground. ``before``: the texture so far, and the weights of the views that made it.
    """

    stand: str
    view: View
    depth: str
    layer: str
    size: int
    frame: int
    coloured: bool
    before: Tuple[str, ...]


@contextlib.contextmanager
def standing(target: Any, coloured: bool) -> Iterator[Tuple[Any, List[str]]]:
    """A copy of the object as it stands there now, in no scene and tied to nothing that carries it, and the names of the images that its
    colours come from. Of its materials it wears that much where it is ``coloured``, and nothing otherwise.
    """
    bpy.context.view_layer.update()
    with looking.shining() as materials:
        copy = looking.copied(target)
        try:
            copy.hide_render = copy.hide_viewport = False
            if copy.parent_type in _CARRIERS:
                copy.parent = None
                copy.constraints.clear()
                copy.animation_data_clear()
                copy.matrix_world = target.matrix_world
            for slot in copy.material_slots:
                worn = materials.of(slot.material) if coloured else None
                slot.link = "DATA"
                slot.material = worn
            yield copy, materials.pictures()
        finally:
            looking.remove_copy(copy)


def steps(work: Work) -> int:
    """How often `bake` yields."""
    return (3 if work.coloured else 2) * (work.size // min(TILE, work.size)) ** 2 + 2


def bake(work: Work, folder: Path) -> Iterator[None]:
    """The picture in the folder onto the stand-in, in steps. Afterwards the texture and its weights are in the folder as files."""
    copy, depth = bpy.data.objects[work.stand], bpy.data.images[work.depth]
    found = [bpy.data.images[name] for name in work.before]
    ours = [bpy.data.images.load(str(folder / PICTURE), check_existing=False)]
    ours[0].colorspace_settings.name = "sRGB"
    try:
        with _scene(copy, work) as camera:
            layer = work.layer or _unwrapped(copy, folder / UVS)
            if not found:
                found = [_new_image(work.size, number) for number in (False, True)]
                ours.extend(found)
            if work.coloured:
                yield from _bake_into(found[0], copy, layer)
            blend = Blend(found[0], found[1], ours[0], depth)
            for name, number in ((COLOURS, False), (WEIGHTS, True)):
                image = _new_image(work.size, number)
                ours.append(image)
                with looking.shining() as materials:
                    shown = materials.showing(lambda tree: blend.nodes(tree, camera, work.view, layer, number=number))  # noqa: B023
                    looking.dress(copy, lambda _: shown)  # noqa: B023
                    yield from _bake_into(image, copy, layer)
                _save(image, folder / name, number)
                yield
    finally:
        for image in ours:
            bpy.data.images.remove(image)


def _new_image(size: int, number: bool) -> Any:
    """Numbers in 32 bits, all 0, or colours, all grey."""
    image = bpy.data.images.new("Gesso bake", size, size, alpha=False, float_buffer=number)
    image.colorspace_settings.name = "Non-Color" if number else "sRGB"
    image.generated_color = (0.0, 0.0, 0.0, 1.0) if number else (0.5, 0.5, 0.5, 1.0)
    return image


def _bake_into(image: Any, copy: Any, layer: str) -> Iterator[None]:
    """What the stand-in shows, a tile at a time."""
    size = image.size[0]
    edge = min(TILE, size)
    wide = edge + 2 * MARGIN  # what lies around a tile, so that margins go on from one into the next
    tile = _new_image(wide, image.is_float)
    _aim([slot.material for slot in copy.material_slots], tile)
    pixels, whole = (array("f", (0.0,)) * (4 * across**2) for across in (wide, size))
    of, into = memoryview(pixels), memoryview(whole)
    with _warped(copy, layer) as warp:
        warp.scale = (size / wide, size / wide)
        for bottom in range(0, size, edge):
            for left in range(0, size, edge):
                warp.offset = [(MARGIN - at) / size for at in (left, bottom)]  # added before it is scaled
                bpy.ops.object.bake(type="EMIT", uv_layer=warp.uv_layer, margin=MARGIN, use_clear=True)
                tile.pixels.foreach_get(pixels)
                for row in range(edge):
                    here, there = 4 * ((bottom + row) * size + left), 4 * ((MARGIN + row) * wide + MARGIN)
                    into[here : here + 4 * edge] = of[there : there + 4 * edge]
                yield
    image.pixels.foreach_set(whole)
    bpy.data.images.remove(tile)


@contextlib.contextmanager
def _warped(copy: Any, layer: str) -> Iterator[Any]:
    """A UV map more, which says where in the tile a place is, and the modifier that moves it."""
    layers = copy.data.uv_layers
    layers.active = layers[layer]
    added = layers.new(name="Gesso tile", do_init=True)
    if added is None:
        raise InvalidRequest("the object has as many UV maps as a mesh can have; remove one")
    name, warp = added.name, copy.modifiers.new("Gesso tile", "UV_WARP")
    warp.uv_layer, warp.center = name, (0.0, 0.0)
    try:
        yield warp
    finally:
        copy.modifiers.remove(warp)
        layers.remove(layers[name])


def _aim(materials: List[Any], image: Any) -> None:
    """The active image node of each material is where a bake goes."""
    for material in dict.fromkeys(materials):
        nodes = material.node_tree.nodes
        node = nodes.new("ShaderNodeTexImage")
        node.image, node.select = image, True
        nodes.active = node


def _save(image: Any, path: Path, number: bool) -> None:
    """A number is a single channel of 32 bits."""
    if not number:
        image.filepath_raw, image.file_format = str(path), "PNG"
        image.save()
        return
    scene = bpy.context.scene
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth, settings.exr_codec = "OPEN_EXR", "BW", "32", "ZIP"
    image.save_render(str(path), scene=scene)


def _unwrapped(copy: Any, path: Path) -> str:
    """The name of a new UV map without overlaps, which is written down as well."""
    copy.data.uv_layers.new(name=UV_NAME)
    bpy.ops.object.mode_set(mode="EDIT")
    with bpy.context.temp_override(edit_object=copy):
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.uv.smart_project(angle_limit=math.radians(66), island_margin=0.02)
    bpy.ops.object.mode_set(mode="OBJECT")
    layer = copy.data.uv_layers.active
    values = array("f", (0.0,)) * (2 * len(layer.data))
    layer.data.foreach_get("uv", values)
    path.write_bytes(values)
    return str(layer.name)


@contextlib.contextmanager
def _scene(copy: Any, work: Work) -> Iterator[Any]:
    """A scene with nothing but the stand-in and the view's camera, which it gives, as baking wants it; gone afterwards. Denoising would
    blur what is exact, and blacken it where Blender was built without a denoiser.
    """
    scene = bpy.data.scenes.new(looking.SCENE)
    camera = looking.placed_camera(work.view, scene)
    windows = bpy.context.window_manager.windows
    try:
        scene.frame_current = work.frame
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
