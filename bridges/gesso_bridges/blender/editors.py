# SPDX-License-Identifier: GPL-3.0-or-later
"""Image Editors follow undo. An edit puts a new image in the place of the old one, under its name. Blender 3.4 finds by name what an editor
shows after a step back or forth; newer ones find it by identity, and would show nothing.
"""

from typing import Any, Iterator, List, Tuple

import bpy
from bpy.app.handlers import persistent

from . import asset

_shown: List[Tuple[int, str, bool]] = []
"""What the editors showed before the step: the editor, the image's name, and whether Gesso made it."""


def spaces() -> Iterator[Any]:
    """The Image Editors of all windows, those that lie under another editor as well."""
    for screen in bpy.data.screens:
        for area in screen.areas:
            yield from (space for space in area.spaces if space.type == "IMAGE_EDITOR")


@persistent
def _before(_scene: Any, _unused: Any = None) -> None:
    _shown[:] = [
        (space.as_pointer(), space.image.name, asset.recipe(space.image) is not None) for space in spaces() if space.image is not None
    ]


@persistent
def _after(_scene: Any, _unused: Any = None) -> None:
    for space in spaces():
        for editor, name, ours in _shown:
            image = bpy.data.images.get(name) if editor == space.as_pointer() else None
            if image is not None and image != space.image and (ours or asset.recipe(image) is not None):
                space.image = image
    _shown.clear()


HANDLERS: Tuple[Tuple[str, Any], ...] = (("undo_pre", _before), ("undo_post", _after), ("redo_pre", _before), ("redo_post", _after))
