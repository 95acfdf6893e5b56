"""What models remember of the sequences that running jobs let them continue: keys and values, which are dear to compute and cheap to keep.

It is a cache. What is gone is computed again by the same forwards, one token after the other, so that no bit depends on what was kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from gesso.engine.calls import NextTokens, Token
from gesso.errors import ModelError
from gesso.model import Conditioning, Continues, Memory

Place = tuple[object, int]
"""Whose sequence, and which of its own."""


@dataclass(eq=False)
class Held:
    """A sequence as a model remembers it: what it begins with, the tokens taken in so far, and the logits (V,) of the one after them."""

    digest: str
    cond: Conditioning
    memory: Memory
    logits: Tensor
    tokens: list[int] = field(default_factory=list)

    def leads_to(self, call: NextTokens) -> bool:
        """Whether the call goes on from here."""
        same = self.digest == call.model.digest and self.cond is call.cond
        return same and tuple(self.tokens) == call.tokens[: len(self.tokens)]


class Sequences:
    """The memories by (owner, sequence). ``most``: bytes that all hold together; the least recently used go first."""

    def __init__(self, most: int = 2**30) -> None:
        self._most = most
        self._held: OrderedDict[Place, Held] = OrderedDict()

    def replies(self, model: Continues, calls: Sequence[NextTokens], owners: Sequence[object]) -> list[Token]:
        """One token for each call. Rows at whatever place of their sequences share a forward; those that have more tokens to take in than
        others go on without them.
        """
        places: list[Place] = [(owner, call.sequence) for owner, call in zip(owners, calls, strict=True)]
        rows = [self._taken(model, call, place) for call, place in zip(calls, places, strict=True)]
        while behind := [i for i, (row, call) in enumerate(zip(rows, calls, strict=True)) if len(row.tokens) < len(call.tokens)]:
            fed = [calls[i].tokens[len(rows[i].tokens)] for i in behind]
            logits = model.proceed([rows[i].memory for i in behind], fed)
            for i, token, row in zip(behind, fed, logits, strict=True):
                rows[i].tokens.append(token)
                rows[i].logits = row
        for place, row in zip(places, rows, strict=True):
            self._held[place] = row
        self._shrink()
        return [_drawn(row, call) for row, call in zip(rows, calls, strict=True)]

    def forget(self, owner: object) -> None:
        """The owner's job has ended."""
        for place in [place for place in self._held if place[0] is owner]:
            del self._held[place]

    def make_room(self) -> int:
        """Forget everything; returns the bytes."""
        freed = sum(held.memory.nbytes for held in self._held.values())
        self._held.clear()
        return freed

    def _taken(self, model: Continues, call: NextTokens, place: Place) -> Held:
        """Taken out, so that what a failed forward leaves half done is gone."""
        held = self._held.pop(place, None)
        if held is not None and held.leads_to(call):
            return held
        memory, logits = model.begin(call.cond)
        return Held(call.model.digest, call.cond, memory, logits)

    def _shrink(self) -> None:
        numbers = sum(held.memory.nbytes for held in self._held.values())
        while numbers > self._most and len(self._held) > 1:
            numbers -= self._held.popitem(last=False)[1].memory.nbytes


def _drawn(row: Held, call: NextTokens) -> Token:
    try:
        return Token(*call.choice.draw(row.logits, call.u))
    except ValueError as fault:
        raise ModelError(f"The model {call.model.name!r} answered with {fault}, at token {len(call.tokens) + 1}.") from fault
