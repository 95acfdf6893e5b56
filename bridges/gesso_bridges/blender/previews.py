# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest preview of a job as Blender's own picture, outside of the file: nothing of it is saved, and nothing of it is undone."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any, Dict, Optional

import bpy.utils.previews

if TYPE_CHECKING:
    from ..panel.task import Task

_SUFFIX = {"image/webp": ".webp", "image/jpeg": ".jpg", "image/png": ".png"}
_held: Dict[str, Any] = {}


def of_task(task: Task) -> Any:
    """An `ImagePreview`, or None where there is none, or no longer. Blender reads pictures from files only."""
    if task.preview is None or task.ended or task.preview.media_type not in _SUFFIX:
        return None
    if "all" not in _held:
        _held["all"] = bpy.utils.previews.new()
    known, key = _held["all"], key_of(task)
    if key not in known:
        for old in [name for name in known if name.startswith(f"{task.number}-")]:
            del known[old]
        handle, path = tempfile.mkstemp(_SUFFIX[task.preview.media_type], "gesso-preview-")
        with os.fdopen(handle, "wb") as file:
            file.write(task.preview.data)
        tuple(known.load(key, path, "IMAGE").image_size)  # asking for its size reads it now
        os.unlink(path)
    return known[key]


def key_of(task: Task) -> Optional[str]:
    """A name of the newest preview."""
    return None if task.preview is None else f"{task.number}-{task.preview.seq}"


def forget() -> None:
    """The add-on is turned off."""
    for known in _held.values():
        bpy.utils.previews.remove(known)
    _held.clear()
