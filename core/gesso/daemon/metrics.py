"""Counters of the front, for `state`. They start at zero with every front."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class Metrics:
    """What happened since the start; bytes are payloads."""

    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    poisoned: int = 0
    requeued: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    job_seconds: float = 0.0

    def as_dict(self) -> dict[str, int | float]:
        """For JSON."""
        return asdict(self)

    @property
    def seconds_per_job(self) -> float:
        """The mean time from lease to end."""
        ended = self.done + self.failed + self.cancelled
        return self.job_seconds / ended if ended else 2.0
