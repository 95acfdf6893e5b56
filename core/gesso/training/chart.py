"""The loss curve of a run as a picture, drawn from its `loss.csv`: the evidence that goes beside a table."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from gesso.training.files import write_atomically

SIZE, MARGIN = (720, 360), 48
PAPER, INK, GRID = (250, 249, 246), (40, 40, 44), (222, 220, 214)
LINES = {"loss": (196, 84, 44), "validation": (44, 96, 150)}

Points = list[tuple[float, float]]


def read_curves(path: Path, stage: str = "denoiser") -> dict[str, Points]:
    """Per figure, its values over the samples seen."""
    curves: dict[str, Points] = {name: [] for name in LINES}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["stage"] != stage:
                continue
            for name, points in curves.items():
                value = float(row[name] or "nan")
                if math.isfinite(value) and (not points or name == "loss" or value != points[-1][1]):
                    points.append((float(row["samples"]), value))
    return curves


def smooth(points: Points, weight: float = 0.8) -> Points:
    """A running average, so that the eye sees the trend."""
    result: Points = []
    for x, y in points:
        result.append((x, y if not result else weight * result[-1][1] + (1 - weight) * y))
    return result


def draw_curves(curves: dict[str, Points], shown: str) -> Image.Image:
    """The curves on a logarithmic scale of loss. shown: what that is."""
    sheet = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(sheet)
    drawn = {name: smooth(points) if name == "loss" else points for name, points in curves.items() if points}
    everything = [point for points in drawn.values() for point in points]
    if not everything:
        return sheet
    right = max(x for x, _ in everything)
    low, high = math.log(min(y for _, y in everything) * 0.95), math.log(max(y for _, y in everything) * 1.05)

    def place(x: float, y: float) -> tuple[float, float]:
        across = MARGIN + (SIZE[0] - 2 * MARGIN) * x / max(1.0, right)
        return across, SIZE[1] - MARGIN - (SIZE[1] - 2 * MARGIN) * (math.log(y) - low) / max(1e-9, high - low)

    _grid(pen, [math.exp(low + (high - low) * i / 4) for i in range(5)], [right * i / 4 for i in range(5)], place)
    for row, (name, points) in enumerate(drawn.items()):
        if len(points) > 1:
            pen.line([place(*point) for point in points], fill=LINES[name], width=2)
        pen.text((SIZE[0] - 150, 14 + 14 * row), name, fill=LINES[name])
    pen.text((MARGIN, 14), f"{shown} over samples seen", fill=INK)
    return sheet


def save_chart(csv_path: Path, picture: Path, stage: str = "denoiser", shown: str = "velocity error") -> None:
    """Draw the curves of a run's stage into a WebP file."""
    sheet = draw_curves(read_curves(csv_path, stage), shown)
    write_atomically(picture, lambda temporary: sheet.save(temporary, "WEBP", lossless=True))


def _grid(pen: ImageDraw.ImageDraw, losses: Sequence[float], samples: Sequence[float], place: object) -> None:
    """Lines and numbers."""
    assert callable(place)
    for loss in losses:
        _, y = place(0, loss)
        pen.line([(MARGIN, y), (SIZE[0] - MARGIN, y)], fill=GRID)
        pen.text((8, y - 6), f"{loss:.3f}", fill=INK)
    for count in samples:
        x, _ = place(count, losses[0])
        pen.text((x - 14, SIZE[1] - MARGIN + 8), f"{count / 1000:.0f}k", fill=INK)
