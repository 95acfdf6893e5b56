"""The preview in the terminal: right colours in the right places, whatever the picture's size and format."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from gesso.cli.preview import COLUMNS, RAW, decode, half_blocks

RED, BLUE = (255, 0, 0), (0, 0, 255)


def halves(width: int, height: int) -> Image.Image:
    """Left half red, right half blue."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(BLUE, (width // 2, 0, width, height))
    return picture


def colours(text: Any) -> list[list[tuple[int, int, int]]]:
    """Rows of upper colours."""
    width = text.plain.index("\n")
    found = [tuple(span.style.color.triplet) for span in text.spans]
    return [found[at : at + width] for at in range(0, len(found), width)]


@pytest.mark.parametrize(("width", "height", "rows"), [(2, 2, 1), (32, 32, 16), (64, 128, 32), (128, 64, 8), (512, 512, 16)])
def test_colours_stay_where_they_are_and_proportions_too(width: int, height: int, rows: int) -> None:
    drawn = colours(half_blocks(halves(width, height)))
    assert len(drawn) == rows
    assert len(drawn[0]) == min(COLUMNS, width)
    assert all(row[0] == RED and row[-1] == BLUE for row in drawn)


def test_two_rows_a_line() -> None:
    picture = Image.new("RGB", (4, 2), RED)
    picture.paste(BLUE, (0, 1, 4, 2))
    text: Any = half_blocks(picture)
    assert text.plain == "▀▀▀▀\n"
    assert text.spans[0].style.color.triplet == RED
    assert text.spans[0].style.bgcolor.triplet == BLUE


@pytest.mark.parametrize(("format", "media_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), (None, RAW)])
def test_every_form_on_the_wire_is_read(format: str | None, media_type: str) -> None:
    picture = halves(64, 32)
    buffer = io.BytesIO()
    if format is not None:
        picture.save(buffer, format)
    data = buffer.getvalue() or picture.tobytes()
    read = decode(data, media_type, 64, 32)
    assert read.size == (64, 32)
    assert read.getpixel((2, 2)) == pytest.approx(RED, abs=6)


@pytest.mark.parametrize("media_type", [RAW, "image/jpeg"])
def test_bytes_that_are_no_picture_are_refused(media_type: str) -> None:
    with pytest.raises((ValueError, OSError)):
        decode(b"123", media_type, 2, 2)
