# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures into Blender and out of it, as files in memory: nothing here touches single pixels, so nothing needs numpy."""

from __future__ import annotations

import os
import struct
import tempfile
from array import array
from pathlib import Path
from typing import Any, Optional, Tuple

import bpy

from gesso.errors import InvalidRequest

from . import editors

COLOUR_SPACES = {True: "sRGB", False: "Non-Color"}
"""The two names that every Blender knows."""
_READABLE = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".exr")


def from_file(name: str, data: bytes, *, colour: bool = True) -> Any:
    """A packed image of the file's bytes; Blender decodes it when it is first shown."""
    image = bpy.data.images.new(name, 8, 8)
    image.pack(data=data, data_len=len(data))
    image.source = "FILE"
    image.colorspace_settings.name = COLOUR_SPACES[colour]
    return image


def from_path(name: str, path: Path, *, colour: bool) -> Any:
    """The same of a file that is there; what is large goes through Blender alone."""
    image = bpy.data.images.load(str(path), check_existing=False)
    image.pack()
    image.name, image.filepath_raw = name, ""
    image.colorspace_settings.name = COLOUR_SPACES[colour]
    return image


def remove(name: str) -> None:
    """The image of this name, where there is one."""
    image = bpy.data.images.get(name)
    if image is not None:
        bpy.data.images.remove(image)


def png_size(data: bytes) -> Tuple[int, int]:
    """(width, height) of a PNG, from its first chunk; raises InvalidRequest for another file."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        raise InvalidRequest("This picture is no PNG.", field="image", hint="Save it as PNG.")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def to_file(image: Any) -> bytes:
    """The image's bytes as a file, with what was painted on it; raises InvalidRequest for one without pixels."""
    stored = _stored(image)
    if stored is not None:
        return stored
    if image.type == "RENDER_RESULT":
        return _saved(image.save_render)
    if not image.has_data and image.size[0] == 0:
        raise InvalidRequest(f"The image {image.name!r} has no pixels.", field="image", hint="Open or paint it first.")
    return _saved(lambda path: _save_copy(image, path))


def _stored(image: Any) -> Optional[bytes]:
    """The bytes that it was loaded from, where nothing was painted since."""
    if image.is_dirty or image.source != "FILE":
        return None
    if image.packed_file is not None:
        return bytes(image.packed_file.data)
    path = Path(bpy.path.abspath(image.filepath))
    return path.read_bytes() if path.suffix.lower() in _READABLE and path.is_file() else None


def _save_copy(image: Any, path: str) -> None:
    """A copy is saved: the image itself keeps its name, its file and its unsaved state."""
    copy = image.copy()
    try:
        if image.is_dirty or image.source == "GENERATED":
            if tuple(copy.size) != tuple(image.size):
                copy.scale(*image.size)
            buffer = array("f", bytes(4 * len(image.pixels)))
            image.pixels.foreach_get(buffer)
            copy.pixels.foreach_set(buffer)
        copy.filepath_raw = path
        copy.file_format = "PNG"
        copy.save()
    finally:
        bpy.data.images.remove(copy)


def _saved(write: Any) -> bytes:
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        path = os.path.join(folder, "picture.png")
        write(path)
        return Path(path).read_bytes()


def replace(old: Any, data: bytes) -> Any:
    """A new image in the place of an old one, everywhere it is used; the old one stays, so that one undo step brings it back."""
    colour = old.colorspace_settings.name not in ("Non-Color", "Raw", "Generic Data")
    name = old.name
    new = from_file(name, data, colour=colour)
    old.user_remap(new)
    for space in editors.spaces():
        if space.image == old:
            space.image = new
    old.name = f"{name} (before)"
    new.name = name
    return new
