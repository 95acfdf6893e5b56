"""The figures of an evaluation: which there are, what they are called, and how they are shown and kept. It makes no picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from gesso import fidelity
from gesso.media.seam import seams
from gesso.plugin.judging import Judge
from gesso.training.sheet import save_sheet

Picture = npt.NDArray[np.uint8]
Rows = npt.NDArray[Any]
SHOWN, SIDE = 64, 128
"""Pictures on the sheet, and how many pixels a side each has there."""


@dataclass(frozen=True)
class Figure:
    """One row of the table. ``made``: of what the model made; ``data``: of the pictures it is compared with, where that says something."""

    key: str
    title: str
    made: float
    data: float | None = None
    share: bool = False

    def cells(self) -> tuple[str, str, str]:
        """As text."""
        return self.title, self._said(self.made), "" if self.data is None else self._said(self.data)

    def _said(self, value: float) -> str:
        return f"{value:.1%}" if self.share else f"{value:.4g}"


def distances(key: str, network: str, sets: tuple[Rows, Rows], names: tuple[str, str]) -> list[Figure]:
    """How far the features of what was made are from those of the data. ``names``: what the two distances are called."""
    precision, recall = fidelity.precision_recall(*sets)
    return [
        Figure(f"{key}_frechet", names[0], fidelity.frechet_distance(*sets)),
        Figure(f"{key}_kernel", names[1], fidelity.kernel_distance(*sets).mean),
        Figure(f"{key}_precision", f"precision over {network} features", precision, share=True),
        Figure(f"{key}_recall", f"recall over {network} features", recall, share=True),
        Figure(f"{key}_diversity", f"diversity over {network} features", fidelity.diversity(sets[0]), fidelity.diversity(sets[1])),
    ]


def seam_error(made: Sequence[Picture], real: Sequence[Picture], tile: str) -> list[Figure]:
    """The step across the border over the steps inside, the mean over pictures and axes; nothing where they need not wrap around."""
    if tile == "none":
        return []
    found = [np.mean([each["ratio"] for picture in pictures for each in seams(picture, tile).values()]) for pictures in (made, real)]
    return [Figure("seam", "seam error: step across the border / inside", float(found[0]), float(found[1]))]


def judged(judge: Judge, made: Sequence[Picture], real: Sequence[Picture], labels: Sequence[Mapping[str, str]]) -> list[Figure]:
    """By label, the share of pictures that show what was asked for; that of the data is the most that this judge lets a model reach."""
    seen = [judge.judge(np.stack(pictures)) for pictures in (made, real)]
    figures = []
    for label in judge.labels:
        shares = [np.mean([found[label] == wanted[label] for found, wanted in zip(each, labels, strict=True)]) for each in seen]
        title = f"{label} as asked for, by the judge {judge.name!r}"
        figures.append(Figure(f"{label}_accuracy", title, float(shares[0]), float(shares[1]), share=True))
    return figures


def print_table(figures: Sequence[Figure], columns: tuple[str, str], caption: str) -> None:
    """One table on standard output, and a sentence below it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("")
    for column in columns:
        table.add_column(escape(column), justify="right", no_wrap=True)
    for figure in figures:
        table.add_row(*(escape(cell) for cell in figure.cells()))
    console = Console(highlight=False)
    console.print(table)
    console.print(escape(caption), soft_wrap=True)


def write_sheet(path: Path, pictures: Sequence[Picture], captions: Sequence[str]) -> None:
    """A contact sheet of what was made, evenly picked, each scaled to fit a square."""
    count = min(SHOWN, len(pictures))
    places = [place * len(pictures) // count for place in range(count)]
    save_sheet(path, np.stack([_square(pictures[place]) for place in places]), [captions[place] for place in places])


def _square(picture: Picture) -> Picture:
    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    square = np.zeros((SIDE, SIDE, 3), np.uint8)
    square[: image.height, : image.width] = np.asarray(image)
    return square
