"""The preview in the terminal: right colours in the right places, whatever the picture's size."""

from __future__ import annotations

import pytest

from gesso.cli.preview import COLUMNS, half_blocks, shrink

RED, BLUE = (255, 0, 0), (0, 0, 255)


def halves(width: int, height: int) -> bytes:
    """Left half red, right half blue."""
    row = b"".join(bytes(RED if x < width // 2 else BLUE) for x in range(width))
    return row * height


@pytest.mark.parametrize(("width", "height"), [(2, 2), (32, 32), (64, 128), (130, 70), (512, 512)])
def test_colours_stay_where_they_are(width: int, height: int) -> None:
    rows = shrink(halves(width, height), width, height, COLUMNS)
    assert len(rows) % 2 == 0
    assert len(rows[0]) == min(COLUMNS, width)
    assert all(row[0] == RED and row[-1] == BLUE for row in rows)


def test_proportions_stay() -> None:
    rows = shrink(halves(128, 64), 128, 64, 32)
    assert (len(rows[0]), len(rows)) == (32, 16)


def test_two_rows_a_line() -> None:
    upper_and_lower = bytes(RED) * 4 + bytes(BLUE) * 4
    text = half_blocks(upper_and_lower, 4, 2)
    assert text.plain == "▀▀▀▀\n"
    style = text.spans[0].style
    assert getattr(style, "color").triplet == RED  # noqa: B009  (a span's style may be a name as well)
    assert getattr(style, "bgcolor").triplet == BLUE  # noqa: B009


def test_bytes_that_are_no_such_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="RGB"):
        shrink(b"123", 2, 2, 32)
