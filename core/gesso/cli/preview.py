"""A picture in a terminal: two pixels a character, as coloured half blocks. It scales and draws; it decodes no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

COLUMNS = 32
UPPER_HALF = "\u2580"

Colour = tuple[int, int, int]


def half_blocks(pixels: bytes, width: int, height: int, columns: int = COLUMNS) -> Text:
    """RGB bytes, row after row from the top -> coloured text of ``columns`` characters (fewer for a smaller picture)."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    rows = shrink(pixels, width, height, columns)
    text = Text()
    for upper, lower in zip(rows[0::2], rows[1::2], strict=True):
        for above, below in zip(upper, lower, strict=True):
            text.append(UPPER_HALF, Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
        text.append("\n")
    return text


def shrink(pixels: bytes, width: int, height: int, columns: int) -> list[list[Colour]]:
    """Rows of averaged colours, an even number of them, in the picture's own proportions."""
    if len(pixels) != width * height * 3 or width < 1 or height < 1:
        raise ValueError(f"{len(pixels)} bytes are not {width} x {height} RGB pixels")
    columns = min(columns, width)
    lines = max(2, round(columns * height / width / 2) * 2)
    return [[_mean(pixels, width, _span(x, columns, width), _span(y, lines, height)) for x in range(columns)] for y in range(lines)]


def _span(index: int, parts: int, length: int) -> range:
    start = index * length // parts
    return range(start, max(start + 1, (index + 1) * length // parts))


def _mean(pixels: bytes, width: int, columns: range, lines: range) -> Colour:
    """At most 2 x 2 samples a block: drawing must cost the worker beside it nothing."""
    samples = [
        3 * (min(y, len(pixels) // (3 * width) - 1) * width + x)
        for y in lines[:: max(1, len(lines) // 2)]
        for x in columns[:: max(1, len(columns) // 2)]
    ]
    red, green, blue = (sum(pixels[at + channel] for at in samples) // len(samples) for channel in range(3))
    return red, green, blue
