# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials in the Asset Browser: preview, tags, catalogue, the recipe by which they are made again. Previews are set, never rendered."""

from __future__ import annotations

import json
import re
from array import array
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import bpy

RECIPE = "gesso_recipe"
CATALOGUE = "6f1a5d0e-3f0b-4e0a-9c55-6765737300a1"
"""The catalogue "Gesso"; every file of this user's has the same."""
_FILE = "blender_assets.cats.txt"
_HEADER = "# This is an Asset Catalog Definition file for Blender.\n\nVERSION 1\n\n"
_PREVIEW = 128
_WORD = re.compile(r"[^\W\d_]{3,}")


def mark(material: Any, prompt: str) -> None:
    """Make it an asset: the prompt's words are its tags. Its picture is set by `show`."""
    material.asset_mark()
    about = material.asset_data
    about.description = prompt
    about.author = "Gesso"
    about.catalog_id = CATALOGUE
    for tag in dict.fromkeys(["gesso", *(word.lower() for word in _WORD.findall(prompt))]):
        about.tags.new(tag, skip_if_exists=True)
    _write_catalogue()


def show(material: Any, tile: Any) -> None:
    """The tile as the material's preview."""
    small = tile.copy()
    try:
        small.scale(_PREVIEW, _PREVIEW)
        preview = material.preview_ensure() or material.preview
        preview.image_size = (_PREVIEW, _PREVIEW)
        pixels = array("f", bytes(4 * 4 * _PREVIEW * _PREVIEW))
        small.pixels.foreach_get(pixels)
        preview.image_pixels_float.foreach_set(pixels)
    finally:
        bpy.data.images.remove(small)


def remember(block: Any, operation: str, params: Mapping[str, Any]) -> None:
    """Write down how it was made."""
    block[RECIPE] = json.dumps({"operation": operation, "params": dict(params)}, ensure_ascii=False)


def recipe(block: Any) -> Optional[Dict[str, Any]]:
    """How a material or image was made, or None."""
    try:
        found = json.loads(block.get(RECIPE, "")) if block is not None else None
    except (TypeError, ValueError):
        return None
    return found if isinstance(found, dict) and "operation" in found else None


def _write_catalogue() -> None:
    """Beside the file, where Blender looks for it; a file that was never saved gets it when it is."""
    if not bpy.data.filepath:
        return
    path = Path(bpy.data.filepath).parent / _FILE
    lines: List[str] = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else [_HEADER]
    if not any(line.startswith(CATALOGUE) for line in lines):
        path.write_text("".join([*lines, f"{CATALOGUE}:Gesso:Gesso\n"]), encoding="utf-8")
