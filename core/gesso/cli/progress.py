"""Shows a job's events on standard error: a live bar with a preview on a terminal, plain lines elsewhere. It decides nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from gesso.cli.preview import decode, half_blocks
from gesso.cli.report import clock, note
from gesso.client import Event, Log, Preview, Progress, Queued, Started

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

LINE_SECONDS = 2.0
"""At most one plain line of progress in this time."""

PREVIEW_SECONDS = 0.25
"""A preview is drawn no oftener: drawing takes time from the worker on a small machine."""


class Reporter(Protocol):
    """Whoever shows events."""

    def show(self, event: Event) -> None:
        """Take one event."""
        ...


class Silent:
    """Shows nothing but warnings."""

    def show(self, event: Event) -> None:
        """Only a warning is worth a line."""
        if isinstance(event, Log) and event.level in ("warning", "error"):
            note(event.message)


class Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._pace = Pace()
        self._last = float("-inf")

    def show(self, event: Event) -> None:
        """One line per change that a reader of a log wants to see."""
        if isinstance(event, Queued) and event.position > 1:
            note(f"{self._label}: waiting, number {event.position} in the queue")
        elif isinstance(event, Started):
            note(f"{self._label}: started")
        elif isinstance(event, Log):
            note(event.message)
        elif isinstance(event, Progress):
            self._pace.take(event)
            now = time.monotonic()
            if now - self._last >= LINE_SECONDS:
                self._last = now
                note(f"{self._label}: {self._pace.words()}")


class Pace:
    """How far a job is, and how long it still takes, from progress events of which any may be missing."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._newest: Progress | None = None

    def take(self, event: Progress) -> None:
        """Note one event."""
        if self._began is None:
            self._began = time.monotonic() - (event.step / event.rate if event.rate else 0.0)
        self._newest = event

    @property
    def fraction(self) -> float:
        """0..1 of the whole job."""
        return 0.0 if self._newest is None else min(1.0, self._newest.fraction)

    def remaining(self) -> float | None:
        """Seconds left, if the rest goes as fast as what was seen."""
        if self._began is None or self._newest is None or self.fraction <= 0 or not self._newest.rate:
            return None
        return (time.monotonic() - self._began) * (1 - self.fraction) / self.fraction

    def words(self) -> str:
        """``image 2/4, step 12/20, 61 %, 8.3 steps/s, 0:02 left``."""
        newest = self._newest
        if newest is None:
            return "waiting"
        parts = [f"image {newest.image + 1}/{newest.images}"] if newest.images > 1 else []
        parts.append(f"step {newest.step}/{newest.total}" if newest.total else f"step {newest.step}")
        parts.append(f"{100 * self.fraction:.0f} %")
        if newest.rate:
            parts.append(f"{newest.rate:.1f} steps/s" if newest.rate >= 1 else f"{1 / newest.rate:.1f} s a step")
        left = self.remaining()
        if left is not None:
            parts.append(f"{clock(left)} left")
        return ", ".join(parts)


class Bar:
    """A live bar with step, rate, time left and, where the terminal has the colours, the newest preview."""

    def __init__(self, label: str, console: Console, live: Live) -> None:
        self._label = label
        self._live = live
        self._pace = Pace()
        self._state = "waiting for the daemon"
        self._preview: Any = None
        self._drawn = float("-inf")
        self._pictures = console.color_system == "truecolor" and console.width >= 60

    def show(self, event: Event) -> None:
        """Redraw for every event; rich limits how often that reaches the terminal."""
        if isinstance(event, Queued):
            self._state = f"number {event.position} in the queue" if event.position > 1 else "waiting for the worker"
        elif isinstance(event, Started):
            self._state = "loading"
        elif isinstance(event, Log):
            self._live.console.print(
                f"gesso: {event.message}", style="yellow" if event.level == "warning" else "", highlight=False, markup=False
            )
        elif isinstance(event, Progress):
            self._pace.take(event)
            self._state = self._pace.words()
        elif isinstance(event, Preview) and self._pictures:
            self._draw(event)
        self._live.update(self.render())

    def _draw(self, event: Preview) -> None:
        now = time.monotonic()
        if now - self._drawn < PREVIEW_SECONDS:
            return
        self._drawn = now
        try:
            self._preview = half_blocks(decode(event.data, event.media_type, event.width, event.height))
        except (OSError, ValueError) as fault:
            self._pictures = False
            self._live.console.print(f"gesso: the daemon's previews cannot be shown: {fault}", markup=False, highlight=False)

    def render(self) -> RenderableType:
        """What the terminal shows now."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        row = Table.grid(padding=(0, 1))
        row.add_row(self._label, ProgressBar(total=1.0, completed=self._pace.fraction, width=28), self._state)
        return row if self._preview is None else Group(self._preview, row)


@contextmanager
def reporter(label: str, *, quiet: bool) -> Iterator[Reporter]:
    """The reporter that suits where standard error goes."""
    if quiet:
        yield Silent()
    elif not sys.stderr.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        yield Lines(label)
    else:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        with Live(console=console, refresh_per_second=10, transient=True) as live:
            yield Bar(label, console, live)
