"""Counters and histograms of the front, for `state`. They start at zero with every front; nothing is sent anywhere."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
BYTES = tuple(float(1 << power) for power in range(24, 40))
"""16 MiB to 512 GiB."""


class Histogram:
    """How often what was seen was at most each bound; the last count is that of everything above."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._most = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sum += value
        self._most = max(self._most, value)

    @property
    def mean(self) -> float:
        """0 while nothing was seen."""
        count = sum(self._counts)
        return self._sum / count if count else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON: counts by bound, and the bounds below which half and 99 of 100 lie."""
        count = sum(self._counts)
        return {
            "count": count,
            "sum": round(self._sum, 6),
            "max": round(self._most, 6),
            "p50": self._quantile(0.5, count),
            "p99": self._quantile(0.99, count),
            "buckets": {f"{bound:g}": number for bound, number in zip((*self._bounds, float("inf")), self._counts, strict=True) if number},
        }

    def _quantile(self, share: float, count: int) -> float | None:
        """The upper bound of the bucket that holds it, or the most that was seen; None while nothing was."""
        seen = 0
        for bound, number in zip(self._bounds, self._counts[:-1], strict=True):
            seen += number
            if count and seen >= share * count:
                return min(bound, self._most)
        return self._most if count else None


def _seconds() -> Histogram:
    return Histogram(SECONDS)


def _bytes() -> Histogram:
    return Histogram(BYTES)


@dataclass
class Metrics:
    """What happened since the start. Bytes in and out are payloads; the histograms tell seconds from accepted to lease, from lease to
    end, of one step, from a request to its answer, and bytes of memory, sampled.
    """

    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    poisoned: int = 0
    requeued: int = 0
    requests: int = 0
    steps: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    queue_seconds: Histogram = field(default_factory=_seconds)
    job_seconds: Histogram = field(default_factory=_seconds)
    step_seconds: Histogram = field(default_factory=_seconds)
    answer_seconds: Histogram = field(default_factory=_seconds)
    accept_seconds: Histogram = field(default_factory=_seconds)
    front_bytes: Histogram = field(default_factory=_bytes)
    worker_bytes: Histogram = field(default_factory=_bytes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value.as_dict() if isinstance(value, Histogram) else value for name, value in values.items()}

    @property
    def seconds_per_job(self) -> float:
        """The mean time from lease to end."""
        return self.job_seconds.mean or 2.0

    def progress(self, steps: dict[int, int], body: Mapping[str, Any]) -> None:
        """A worker reported progress; ``steps`` are the job's steps by image so far. What makes no sense is not counted."""
        image, step, rate = body.get("image"), body.get("step"), body.get("rate")
        if isinstance(image, int) and isinstance(step, int) and 0 <= image < 10_000 and steps.get(image, 0) < step < 1_000_000:
            self.steps += step - steps.get(image, 0)
            steps[image] = step
        if isinstance(rate, (int, float)) and rate > 0:
            self.step_seconds.observe(1 / rate)
