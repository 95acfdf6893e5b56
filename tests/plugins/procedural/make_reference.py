"""Renews the generated tables of docs/procedural.md and its pictures: `python tests/plugins/procedural/make_reference.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from gesso_plugins.procedural.captions import caption
from gesso_plugins.procedural.grammar import parse
from gesso_plugins.procedural.maps import Maps, shade, to_uint8
from gesso_plugins.procedural.recipe import Recipe
from gesso_plugins.procedural.reference import with_reference
from gesso_plugins.procedural.registry import Material, materials
from gesso_plugins.procedural.render import render

DOCS = Path(__file__).resolve().parents[3] / "docs"
SIDE, COLUMNS, LINE = 128, 11, 14
SECONDS = {"red": "white", "white": "blue", "blue": "yellow"}


def showpiece(entry: Material) -> Recipe:
    """A material in its commonest look."""
    colour = entry.colours[0] if entry.colours else "blue"
    second = "" if entry.second is None else (entry.second or (SECONDS.get(colour, "black"),))[0]
    return Recipe(entry.name, colour, second=second, variant=entry.variants[0] if entry.variants else "")


def materials_sheet() -> Image.Image:
    """One picture of every material with its name."""
    entries = list(materials().values())
    rows = -(-len(entries) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + 4), rows * (SIDE + LINE + 4)), (24, 24, 26))
    pen = ImageDraw.Draw(sheet)
    for index, entry in enumerate(entries):
        x, y = index % COLUMNS * (SIDE + 4), index // COLUMNS * (SIDE + LINE + 4)
        picture = shade(render(showpiece(entry), SIDE, SIDE, 11))
        sheet.paste(Image.fromarray(to_uint8(picture)), (x + 2, y + LINE))
        pen.text((x + 3, y + 1), entry.title, fill=(225, 225, 225))
    return sheet


def maps_row(prompt: str) -> Image.Image:
    """The picture and its six maps side by side."""
    side = 192
    maps = render(parse(prompt).recipe, side, side, 4)
    planes = {"picture": shade(maps)} | {name: getattr(maps, name) for name in list(Maps.__annotations__)[:6]}
    sheet = Image.new("RGB", (len(planes) * (side + 4), side + LINE + 4), (24, 24, 26))
    pen = ImageDraw.Draw(sheet)
    for index, (name, plane) in enumerate(planes.items()):
        colours = plane if plane.ndim == 3 else np.repeat(plane[..., None], 3, axis=2)
        sheet.paste(Image.fromarray(to_uint8(colours)), (index * (side + 4) + 2, LINE))
        pen.text((index * (side + 4) + 3, 1), name.replace("_", " "), fill=(225, 225, 225))
    return sheet


def main() -> None:
    page = DOCS / "procedural.md"
    page.write_text(with_reference(page.read_text(encoding="utf-8")), encoding="utf-8")
    (DOCS / "pictures").mkdir(exist_ok=True)
    materials_sheet().save(DOCS / "pictures" / "procedural-materials.webp", quality=62, method=6)
    maps_row("mossy grey cobblestone").save(DOCS / "pictures" / "procedural-maps.webp", quality=80, method=6)
    print(caption(parse("mossy grey cobblestone").recipe))


if __name__ == "__main__":
    main()
