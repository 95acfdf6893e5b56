"""Who sees whom: the sparse attention of Ramesh et al. 2021 (appendix B.1, figure 11). All of an image sees all of the text; text sees the
text before it.
"""

from __future__ import annotations

from typing import Literal

import torch

Kind = Literal["row", "column", "convolution"]


def kinds(layers: int) -> tuple[Kind, ...]:
    """Which layer looks how, the first having number 1: the last by convolution; of the others those with ``(i - 2) mod 4 = 0`` along
    columns, all else along rows.
    """
    return tuple("convolution" if i == layers else "column" if (i - 2) % 4 == 0 else "row" for i in range(1, layers + 1))


def image_mask(kind: Kind, side: int, kernel: int) -> torch.Tensor:
    """(n, n) for the n = side * side tokens of an image in reading order: True where the row's token sees the column's.

    Row: itself and the tokens before it, as far as the one above it. Column: those above it, and itself. Convolution: those before it in
    a square of `kernel` places around it, and itself; as with rows, what lies beyond one edge continues at the other, a row away.
    """
    place = torch.arange(side * side)
    back = place[:, None] - place[None, :]
    before = back >= 0
    if kind == "row":
        return before & (back <= side)
    if kind == "column":
        return before & (back % side == 0)
    reach = kernel // 2
    offsets = torch.tensor(sorted(side * up + left for up in range(reach + 1) for left in range(-reach, reach + 1)))
    return before & torch.isin(back, offsets)


def whole_mask(kind: Kind, length: int, side: int, kernel: int) -> torch.Tensor:
    """(length + n, length + n) for the text and the image after it."""
    images = image_mask(kind, side, kernel)
    text = torch.ones(length, length, dtype=torch.bool).tril()
    nothing, everything = torch.zeros(length, len(images), dtype=torch.bool), torch.ones(len(images), length, dtype=torch.bool)
    return torch.cat([torch.cat([text, nothing], 1), torch.cat([everything, images], 1)])


def seen(mask: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """For each token of the image (n, K): the places of the sequence that it sees, in their order, and which of these count. Rows that
    see fewer than K are filled up with places that do not.
    """
    rows = [row.nonzero().flatten() for row in mask[length:]]
    most = max(map(len, rows))
    places = torch.stack([torch.cat([row, row.new_zeros(most - len(row))]) for row in rows])
    counts = torch.stack([torch.arange(most) < len(row) for row in rows])
    return places, counts
