"""Draws pictures in their order, with their scores beneath. It scores and orders nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont

from gesso.plugin.choosing import Scores

SIDE = 192
MARGIN = 8
LINE = 14
WORDS = 110
"""The width of a line of text, at least."""
_DARK, _LIGHT = (30, 30, 30), (235, 235, 235)


@dataclass(frozen=True)
class Placed:
    """One picture of the sheet, and its number among those that were given, from 1."""

    pixels: npt.NDArray[np.uint8]
    number: int
    scores: Scores


def sheet(placed: Sequence[Placed], background: str) -> npt.NDArray[np.uint8]:
    """The best first, in rows; under each its place, its number, its score and the parts of that."""
    columns = min(len(placed), max(1, math.ceil(math.sqrt(len(placed) * 1.3))))
    rows = -(-len(placed) // columns)
    texts = [_lines(place, each) for place, each in enumerate(placed, 1)]
    side = min(SIDE, max(max(each.pixels.shape[:2]) for each in placed))
    cell = max(side, WORDS) + MARGIN, side + MARGIN + LINE * max(map(len, texts))
    page = Image.new("RGB", (columns * cell[0] + MARGIN, rows * cell[1] + MARGIN), background)
    ink = _DARK if np.dot(ImageColor.getrgb(background)[:3], (0.2126, 0.7152, 0.0722)) > 110 else _LIGHT
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for at, (each, lines) in enumerate(zip(placed, texts, strict=True)):
        left, top = MARGIN + at % columns * cell[0], MARGIN + at // columns * cell[1]
        shown = Image.fromarray(each.pixels)
        shown.thumbnail((side, side), Image.Resampling.LANCZOS)
        page.paste(shown, (left, top + side - shown.height))
        for row, line in enumerate(lines):
            pen.text((left, top + side + 1 + row * LINE), line, fill=ink, font=font)
    return np.asarray(page)


def _lines(place: int, each: Placed) -> list[str]:
    total = "no score" if each.scores.total is None else f"{each.scores.total:.3f}"
    return [f"{place}.  picture {each.number}:  {total}", *(f"{name} {score:.3f}" for name, score in each.scores.parts.items())]
