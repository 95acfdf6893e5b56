# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts what a job gave where it belongs: a material on an object, an image in the place of another, a new image. One undo step each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Generator, List, Mapping, Optional

import bpy

from gesso.client import Result, ResultImage

from ..panel.task import Task
from . import asset, images, material
from .material import Look


def apply(task: Task) -> Generator[float, None, str]:
    """In steps: yields how far it is, and gives a sentence about what was made."""
    if task.result is None:
        return "There is nothing to put anywhere."
    title = title_of(task)
    if "save" in task.memo:
        path = Path(task.memo["save"])
        path.parent.mkdir(parents=True, exist_ok=True)
        task.result.images[0].save(path)
        task.memo["made"] = []
        return f"Written: {path.parent.name}/{path.name}"  # the whole would be cut off
    if "projection" in task.memo:
        from . import projection

        sentence = yield from projection.receive(task.memo["projection"], task.result.images[0].read())
        task.memo["made"] = []
    elif not task.memo.get("editor") and any(picture.role == "base_color" for picture in task.result.images):
        sentence = _materials(task, task.result, title)
    else:
        sentence = _pictures(task, task.result, title)
    yield 1.0  # an undo step copies what was packed, and what was made can be seen before that
    push_undo(f"Gesso: {title}")
    return sentence


def title_of(task: Task) -> str:
    """A short name for what was asked."""
    words = str(task.params.get("prompt") or task.operation).strip()
    return words[:48] or task.operation


def push_undo(message: str) -> None:
    """One step back takes away all that was done since the last one. Without a window there is nothing to undo."""
    windows = bpy.context.window_manager.windows
    if bpy.app.background or not windows:
        return
    with bpy.context.temp_override(window=windows[0]):
        if bpy.ops.ed.undo_push.poll():
            bpy.ops.ed.undo_push(message=message)


def _params_of(task: Task, picture: ResultImage) -> Dict[str, Any]:
    """The parameters of one picture among several: the same, with its own seed."""
    params = {name: value for name, value in task.params.items() if name not in ("count", "best_of", "keep", "prune")}
    return {**params, "seed": picture.seed} if picture.seed is not None else params


def _materials(task: Task, result: Result, title: str) -> str:
    """One material for each picture; the first, or best, goes onto the object, the others wait to be chosen."""
    sets: Dict[int, Dict[str, ResultImage]] = {}
    for picture in result.images:
        sets.setdefault(picture.index, {})[picture.role] = picture
    memo = task.memo
    look = Look(memo.get("mapping", "UV"), memo.get("tiles", 1.0), memo.get("relief", 0.02))
    made: List[str] = []
    for maps in sets.values():
        if "base_color" not in maps:
            continue
        found = material.build(title, maps, look)
        asset.remember(found, task.operation, _params_of(task, maps["base_color"]))
        if memo.get("asset", True):
            asset.mark(found, str(task.params.get("prompt", "")))
        else:
            found.use_fake_user = True
        made.append(found.name)
    target = _object(memo.get("object"))
    if target is not None and made:
        material.assign(target, int(memo.get("slot", target.active_material_index)), bpy.data.materials[made[0]])
    memo["made"] = made
    memo["unseen"] = list(made)
    if bpy.app.background:
        while show_one(task):
            pass
    where = f" on {target.name}" if target is not None else ""
    return f"Material {made[0]}{where}." if len(made) == 1 else f"{len(made)} materials; the first is {made[0]}{where}."


def show_one(task: Task) -> bool:
    """The preview of one material that has none yet. The tile is decoded for it, so this waits until the result itself is on the screen."""
    unseen = task.memo.get("unseen")
    if not unseen:
        return False
    found = bpy.data.materials.get(unseen.pop(0))
    if found is not None:
        asset.show(found, _node_image(found, "Base color"))
    return True


def _node_image(found: Any, label: str) -> Any:
    return next(node.image for node in found.node_tree.nodes if node.type == "TEX_IMAGE" and node.label == label)


def _pictures(task: Task, result: Result, title: str) -> str:
    """The first takes the place of the picture that it was made from; without one, all are new."""
    old = bpy.data.images.get(str(task.memo.get("image", "")))
    made: List[str] = []
    for picture in result.images:
        if old is not None and not made:
            new = images.replace(old, picture.read())
        else:
            new = images.from_file(title, picture.read(), colour=picture.role in material.COLOURED)
            new.use_fake_user = True
        asset.remember(new, task.operation, _plain(_params_of(task, picture)))
        made.append(new.name)
    task.memo["made"] = made
    if not made:
        return f"{task.operation} gave no picture."
    if old is None:
        _show(bpy.data.images[made[0]])
    return f"Image {made[0]}." if len(made) == 1 else f"{len(made)} images; the first is {made[0]}."


def _plain(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Without pictures in memory: a recipe names them by their hash."""
    return {name: value for name, value in params.items() if not isinstance(value, (bytes, bytearray))}


def _show(image: Any) -> None:
    """In the first image editor that shows nothing else of the user's making."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            space: Any = area.spaces.active
            if area.type == "IMAGE_EDITOR" and (space.image is None or asset.recipe(space.image) is not None):
                space.image = image
                return


def _object(name: Optional[str]) -> Any:
    return bpy.data.objects.get(name) if name else None
