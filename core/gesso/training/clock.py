"""How long a run has taken, and when it has to end: out of time, or asked to by a signal."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from types import FrameType


@dataclass
class Clock:
    """Time spent: on the wall since the start, on the processor over all sessions."""

    minutes: float | None
    earlier_hours: float = 0.0
    stop: bool = False

    def __post_init__(self) -> None:
        self.begun = time.monotonic()
        self.processor = time.process_time()

    @property
    def cpu_hours(self) -> float:
        """Processor hours of the run, earlier sessions included."""
        return self.earlier_hours + (time.process_time() - self.processor) / 3600

    @property
    def over(self) -> bool:
        """Whether to stop: asked to, or out of time."""
        return self.stop or (self.minutes is not None and (time.monotonic() - self.begun) / 60 >= self.minutes)


class StopOnSignal:
    """SIGTERM and SIGINT end the run at the next step, with a checkpoint."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __enter__(self) -> None:
        self.earlier = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *exc: object) -> None:
        for number, handler in self.earlier.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.clock.stop = True
