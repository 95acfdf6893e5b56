"""The order in which jobs get their turn: suspects first and alone, interactive before batch, clients in rotation, first
come first served within a client, with a bounded preference for models that are loaded already. Paused
jobs keep their place. It starts nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

LOOK_AHEAD = 8
PATIENCE = 4
"""How often the job at the head may be passed over for one whose model is resident."""

_Client = tuple[str, str]


class Waiter(Protocol):
    """What the queue needs to know of a job."""

    id: str
    priority: str
    suspect: int
    model: str | None
    passed_over: int
    paused: bool

    @property
    def patient(self) -> bool:
        """Whether it works for long: of such jobs a worker has one at a time, so that the others find a place."""
        ...

    @property
    def owner(self) -> _Client:
        """(principal, client): who waits."""
        ...


class Waiting:
    """Jobs that wait for a worker."""

    def __init__(self) -> None:
        self._suspects: deque[Waiter] = deque()
        self._lanes: dict[str, OrderedDict[_Client, deque[Waiter]]] = {"interactive": OrderedDict(), "batch": OrderedDict()}

    def __len__(self) -> int:
        return len(self._suspects) + sum(len(jobs) for lane in self._lanes.values() for jobs in lane.values())

    def __iter__(self) -> Iterator[Waiter]:
        yield from self._suspects
        for lane in self._lanes.values():
            for jobs in lane.values():
                yield from jobs

    def count(self, owner: _Client) -> int:
        """How many jobs of this client wait."""
        return sum(len(lane.get(owner, ())) for lane in self._lanes.values()) + sum(job.owner == owner for job in self._suspects)

    def push(self, job: Waiter, *, front: bool = False) -> int:
        """Let a job wait; ``front``: before the client's others, for one that had its turn already. Returns its position, from 1."""
        if job.suspect:
            self._suspects.append(job)
            return len(self._suspects)
        jobs = self._lanes[job.priority].setdefault(job.owner, deque())
        if front:
            jobs.appendleft(job)
        else:
            jobs.append(job)
        before = len(self._suspects) + (sum(map(len, self._lanes["interactive"].values())) if job.priority == "batch" else 0)
        return before + sum(min(len(other), len(jobs)) for other in self._lanes[job.priority].values())

    def remove(self, job: Waiter) -> bool:
        """Take a job out; False if it does not wait."""
        if job in self._suspects:
            self._suspects.remove(job)
            return True
        lane = self._lanes[job.priority]
        if job not in lane.get(job.owner, ()):
            return False
        lane[job.owner].remove(job)
        self._tidy(lane, job.owner)
        return True

    def pop(self, resident: Collection[str], busy: bool, long: bool = False) -> Waiter | None:
        """The next job for a worker that is ``busy`` with others or not, with a ``long`` one or not, and holds the ``resident`` models."""
        suspect = _first(self._suspects)
        if suspect is not None:
            if busy:
                return None
            self._suspects.remove(suspect)
            return suspect
        return self._pop_lane("interactive", resident, long) or self._pop_lane("batch", resident, long)

    def _pop_lane(self, priority: str, resident: Collection[str], long: bool) -> Waiter | None:
        lane = self._lanes[priority]
        candidates = [job for jobs in lane.values() if (job := _first(jobs, long)) is not None][:LOOK_AHEAD]
        if not candidates:
            return None
        head = candidates[0]
        chosen = head
        if resident and head.passed_over < PATIENCE:
            chosen = next((job for job in candidates if job.model is None or job.model in resident), head)
        if chosen is not head:
            head.passed_over += 1
        lane[chosen.owner].remove(chosen)
        lane.move_to_end(chosen.owner)
        self._tidy(lane, chosen.owner)
        return chosen

    @staticmethod
    def _tidy(lane: OrderedDict[_Client, deque[Waiter]], owner: _Client) -> None:
        if not lane[owner]:
            del lane[owner]


def _first(jobs: Iterable[Waiter], long: bool = False) -> Waiter | None:
    """The first that is not paused, and works for long only where nothing else does."""
    return next((job for job in jobs if not (job.paused or (long and job.patient))), None)
