"""A picture in a terminal: two pixels a character, as coloured half blocks. Pillow decodes and scales; this only chooses colours."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.text import Text

COLUMNS = 32
UPPER_HALF = "\u2580"
RAW = "application/x-gesso-plane"


def decode(data: bytes, media_type: str, width: int, height: int) -> Image:
    """A preview as it crossed the wire -> an RGB picture; raises ValueError or OSError for bytes that are none."""
    from PIL import Image

    if media_type == RAW:
        return Image.frombytes("RGB", (width, height), data)
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as picture:
        return picture.convert("RGB")


def half_blocks(picture: Image, columns: int = COLUMNS) -> Text:
    """An RGB picture -> coloured text of ``columns`` characters (fewer for a smaller one), in the picture's own proportions."""
    from PIL.Image import Resampling
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    columns = min(columns, picture.width)
    lines = max(2, round(columns * picture.height / picture.width / 2) * 2)
    pixels = picture.resize((columns, lines), Resampling.BOX).tobytes()
    colours = [Color.from_rgb(*pixels[at : at + 3]) for at in range(0, len(pixels), 3)]
    text = Text()
    for top in range(0, lines, 2):
        for x in range(columns):
            above, below = colours[top * columns + x], colours[(top + 1) * columns + x]
            text.append(UPPER_HALF, Style(color=above, bgcolor=below))
        text.append("\n")
    return text
