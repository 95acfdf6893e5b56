"""How many threads and which kernels compute a forward of level `fast`: what was fastest of late, for each key and number of rows. `exact`
never comes here: both choices change bits, so there they stay as the worker's environment says.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import torch

from gesso.engine.batching import Key


@dataclass(frozen=True)
class Choice:
    """Threads of torch, and whether oneDNN is used; it loses on small latents, where it reorders more than it computes."""

    threads: int
    onednn: bool

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Compute so within the context."""
        threads, onednn = torch.get_num_threads(), torch._C._get_mkldnn_enabled()
        torch.set_num_threads(self.threads)
        torch._C._set_mkldnn_enabled(self.onednn)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch._C._set_mkldnn_enabled(onednn)


def choices(device: torch.device, threads: Sequence[int]) -> tuple[Choice, ...]:
    """The worker's own choice first, then what may be tried instead. ``threads``: counts beside the worker's own."""
    own = Choice(torch.get_num_threads(), torch._C._get_mkldnn_enabled())
    if device.type != "cpu":
        return (own,)
    counts = dict.fromkeys((own.threads, *threads))
    kernels = (own.onednn, not own.onednn) if torch.backends.mkldnn.is_available() else (own.onednn,)  # type: ignore[no-untyped-call]
    return tuple(Choice(count, onednn) for onednn in kernels for count in counts)


@dataclass
class _Measured:
    """Forwards of one key and row count: the newest seconds by choice, and how many there were."""

    seconds: dict[Choice, list[float]]
    forwards: int = 0
    trying: int = field(default=0)


class Kernels:
    """The worker's own choice is measured a few times, then the others in turns; one that is hopeless only once. The fastest is taken, if
    it beats the worker's own clearly, and now and then another is tried, since the machine's load changes.
    """

    SAMPLES = 3
    RETRY = 32
    GAIN = 0.9
    HOPELESS = 3.0
    MOST = 128

    def __init__(self, choices: Sequence[Choice]) -> None:
        self._choices = tuple(choices)
        self._measured: OrderedDict[tuple[Key, int], _Measured] = OrderedDict()

    def pick(self, key: Key, rows: int) -> Choice:
        """What to compute the next forward with."""
        if len(self._choices) == 1:
            return self._choices[0]
        measured = self._of(key, rows)
        if self._wanting(measured, self._choices[0]):
            return self._choices[0]
        untried = [choice for choice in self._choices if self._wanting(measured, choice)]
        if untried:
            return min(untried, key=lambda choice: len(measured.seconds[choice]))
        if measured.forwards % self.RETRY == self.RETRY - 1:
            measured.trying += 1
            return self._choices[measured.trying % len(self._choices)]
        return self._best(measured)

    def settled(self, key: Key, rows: int, choice: Choice) -> bool:
        """Whether this is the choice in force and no trial, so that its time tells what a forward costs."""
        return len(self._choices) == 1 or choice == self._best(self._of(key, rows))

    def record(self, key: Key, rows: int, choice: Choice, seconds: float) -> None:
        """A forward with this choice took so long."""
        if len(self._choices) > 1:
            measured = self._of(key, rows)
            measured.forwards += 1
            measured.seconds[choice] = [*measured.seconds[choice], seconds][-self.SAMPLES :]

    def _of(self, key: Key, rows: int) -> _Measured:
        found = self._measured.get((key, rows))
        if found is None:
            found = self._measured[key, rows] = _Measured({choice: [] for choice in self._choices})
            if len(self._measured) > self.MOST:
                self._measured.popitem(last=False)
        self._measured.move_to_end((key, rows))
        return found

    def _wanting(self, measured: _Measured, choice: Choice) -> bool:
        seen = measured.seconds[choice]
        fastest = min((min(seconds) for seconds in measured.seconds.values() if seconds), default=0.0)
        return len(seen) < self.SAMPLES and not (seen and min(seen) > self.HOPELESS * fastest)

    def _best(self, measured: _Measured) -> Choice:
        own = self._choices[0]
        times = {choice: median(seconds) for choice, seconds in measured.seconds.items() if seconds}
        best = min(times, key=lambda choice: times[choice], default=own)
        return best if own not in times or times[best] <= self.GAIN * times[own] else own
