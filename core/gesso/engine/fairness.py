"""Whose call is next. Interactive before batch; between clients by deficit round robin; within a client small before large, then in order.

Deficit round robin (Shreedhar & Varghese 1996), paid afterwards because only the run shows what a call costs: a client may run
while its credit is positive, each round of the ring adds a quantum to every client that waits, and who has nothing to run saves nothing up.
"""

from __future__ import annotations

from collections.abc import Iterable

from gesso.engine.task import Pending

QUANTUM = 0.05
"""Seconds of device time a client gets per round; a single call may overdraw it and is paid back by waiting."""


class Fairness:
    """The ring of clients and their credit in seconds."""

    def __init__(self, quantum: float = QUANTUM) -> None:
        self._quantum = quantum
        self._credit: dict[str, float] = {}
        self._turn = ""

    def order(self, waiting: Iterable[Pending]) -> list[Pending]:
        """Calls of the class that goes first, the one to run next at the front, its client's others behind it, then the other clients'."""
        calls = list(waiting)
        if len(calls) == 1:
            self._ring({calls[0].running.ticket.client})
            return calls
        if any(call.running.priority == "interactive" for call in calls):
            calls = [call for call in calls if call.running.priority == "interactive"]
        if not calls:
            return []
        ring = self._ring({call.running.ticket.client for call in calls})
        places = {client: place for place, client in enumerate(ring)}
        return sorted(calls, key=lambda call: (places[call.running.ticket.client], *_within_client(call)))

    def charge(self, client: str, seconds: float) -> None:
        """A call of this client took so much device time."""
        self._credit[client] = self._credit.get(client, 0.0) - seconds

    def forget(self, client: str) -> None:
        """The client has no job any more."""
        self._credit.pop(client, None)

    def _ring(self, clients: set[str]) -> list[str]:
        """The waiting clients, beginning with the one whose turn it is."""
        for client in clients:
            self._credit.setdefault(client, 0.0)
        if self._turn not in clients or self._credit[self._turn] <= 0:
            self._pass_on(clients)
        ring = sorted(clients)
        start = ring.index(self._turn)
        return ring[start:] + ring[:start]

    def _pass_on(self, clients: set[str]) -> None:
        names = sorted(clients)
        after = [name for name in names if name > self._turn] + [name for name in names if name <= self._turn]
        while all(self._credit[name] <= 0 for name in names):
            rounds = min(int(-self._credit[name] // self._quantum) + 1 for name in names)
            for name in names:
                self._credit[name] = min(self._credit[name] + rounds * self._quantum, self._quantum)
        self._turn = next(name for name in after if self._credit[name] > 0)


def _within_client(call: Pending) -> tuple[object, ...]:
    # Sizes count in powers of four: equal enough means first come, first served. The path makes image 0 end before image 1 begins.
    return (call.size.bit_length() // 2, call.running.order, call.task.path, call.number)
