"""The squares of a picture that a model is shown for a gradient: several, so that what is followed is what all of them show and no pattern
of single pixels. It draws no random number.
"""

from __future__ import annotations

from torch import Tensor

SMALLEST_SHARE = 0.7
GOLDEN, PLASTIC = 0.6180339887498949, (0.7548776662466927, 0.5698402909980532)
"""Steps that leave no gaps: multiples of these, without their whole part, spread evenly over 0..1 and over a square."""


def views(picture: Tensor, count: int) -> list[Tensor]:
    """Of a picture (1, 3, H, W): the first view is its largest square from the middle; the others are 70 to 100 % of that and lie
    elsewhere, even over sizes and places.
    """
    height, width = picture.shape[-2:]
    largest = min(height, width)
    found = []
    for number in range(count):
        share = 1.0 - (1.0 - SMALLEST_SHARE) * (number * GOLDEN % 1.0)
        side = max(1, round(largest * share))
        across, down = (0.5, 0.5) if number == 0 else (number * step % 1.0 for step in PLASTIC)
        top, left = round(down * (height - side)), round(across * (width - side))
        found.append(picture[0, :, top : top + side, left : left + side])
    return found
