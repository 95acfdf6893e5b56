"""Contact sheets: pictures in a grid, each with its prompt above."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from gesso.training.files import write_atomically

TITLE = 13


def contact_sheet(images: npt.NDArray[np.uint8], titles: Sequence[str], columns: int = 8) -> Image.Image:
    """Lay pictures out in rows."""
    size = images.shape[1]
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (size + 4), rows * (size + TITLE + 4)), (24, 24, 26))
    pen = ImageDraw.Draw(sheet)
    for number, (image, title) in enumerate(zip(images, titles, strict=True)):
        x, y = number % columns * (size + 4), number // columns * (size + TITLE + 4)
        sheet.paste(Image.fromarray(image), (x, y + TITLE))
        pen.text((x, y), title[: size // 6], fill=(225, 225, 220))
    return sheet


def save_sheet(path: Path, images: npt.NDArray[np.uint8], titles: Sequence[str], columns: int = 8) -> None:
    """Write a contact sheet; the suffix says in which format."""
    sheet = contact_sheet(images, titles, columns)
    kind = {".webp": "WEBP", ".png": "PNG"}[path.suffix]
    write_atomically(path, lambda temporary: sheet.save(temporary, kind, quality=88))
