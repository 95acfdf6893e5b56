"""The states of a job and the moves between them: the one table that journal, queue and protocol agree on.

                .----------------- requeue (its worker ended) ------------.
                v                                                         |
submit --> accepted --> leased --> running --> done | failed | cancelled  |
                |          |          '-----------------------------------'
                '----------'----> failed | cancelled
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

State = Literal["accepted", "leased", "running", "done", "failed", "cancelled"]

MOVES: Mapping[State, frozenset[State]] = {
    "accepted": frozenset({"leased", "failed", "cancelled"}),
    "leased": frozenset({"accepted", "running", "done", "failed", "cancelled"}),
    "running": frozenset({"accepted", "done", "failed", "cancelled"}),
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
TERMINAL: frozenset[State] = frozenset(state for state, after in MOVES.items() if not after)
ALL: tuple[State, ...] = tuple(MOVES)


def may_move(before: State, after: State) -> bool:
    """Whether the table has this move."""
    return after in MOVES[before]
