"""What a run tells: a bar in a terminal, plain lines elsewhere, a CSV and TensorBoard on disk."""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from typing import Any

FIELDS = ("stage", "step", "samples", "cpu_hours", "loss", "validation", "diversity")


class Journal:
    """The record of one run. Values are averaged between lines."""

    def __init__(self, folder: Path, every_seconds: float = 30.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.csv = folder / "loss.csv"
        self.every = every_seconds
        self._board = _board(folder / "log")
        self._bar, self._task = _bar()
        self._spoke = 0.0
        if not self.csv.exists():
            self.csv.write_text(",".join(FIELDS) + "\n")

    def record(self, stage: str, step: int, values: dict[str, float], **facts: float) -> None:
        """Keep one line of figures."""
        row: dict[str, Any] = {"stage": stage, "step": step, **facts, **values}
        with self.csv.open("a", newline="") as file:
            csv.DictWriter(file, FIELDS, extrasaction="ignore").writerow({key: _short(row.get(key)) for key in FIELDS})
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{stage}/{name}", value, step)

    def show(self, stage: str, step: int, total: int | None, text: str) -> None:
        """Tell a person where the run stands."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"{stage}: {text}", completed=step, total=total)
        elif time.monotonic() - self._spoke >= self.every:
            self._spoke = time.monotonic()
            self.say(f"{stage} step {step}{'' if total is None else f'/{total}'}: {text}")

    def say(self, text: str) -> None:
        """One line now."""
        if self._bar is not None:
            self._bar.console.print(text)
        else:
            print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Finish the bar and the event file."""
        if self._bar is not None:
            self._bar.stop()
        if self._board is not None:
            self._board.close()


def _short(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def _board(folder: Path) -> Any:
    """A TensorBoard writer where the package is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))


def _bar() -> tuple[Any, Any]:
    """A rich bar where stderr is a terminal."""
    if not sys.stderr.isatty():
        return None, None
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=Console(stderr=True))
    bar.start()
    return bar, bar.add_task("", total=None)
