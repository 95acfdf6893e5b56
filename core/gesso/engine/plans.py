"""How a batch of `Denoise` falls into forwards: rows of one conditioning layout and one perturbation go together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gesso.engine.batching import stack
from gesso.engine.calls import Denoise
from gesso.model import Conditioning, Perturbation


@dataclass(frozen=True)
class Group:
    """Rows that share a forward: (number of the call, number of its conditioning) of each, and their conditionings on the device, those
    of their leads below.
    """

    places: tuple[tuple[int, int], ...]
    cond: Conditioning
    perturbation: Perturbation | None


class Plans:
    """How the newest batches of `Denoise` fall into forwards. The steps of a job ask for the same conditionings again and again."""

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._held: OrderedDict[tuple[object, ...], tuple[Sequence[tuple[Conditioning, ...]], tuple[Group, ...]]] = OrderedDict()

    def of(self, calls: Sequence[Denoise], device: torch.device) -> tuple[Group, ...]:
        """The groups, in the order of calls and conditionings. The conditionings are held beside them, so that no other object gets
        their ids.
        """
        key = tuple([(*map(id, _conds(call)), call.perturbations, call.lead is None) for call in calls])
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = ([_conds(call) for call in calls], _grouped(calls, device))
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return found[1]


def _grouped(calls: Sequence[Denoise], device: torch.device) -> tuple[Group, ...]:
    groups: dict[tuple[object, Perturbation | None], list[tuple[int, int]]] = {}
    for i, call in enumerate(calls):
        for j, cond in enumerate(call.conds):
            groups.setdefault((cond.layout(), call.perturbation(j)), []).append((i, j))
    return tuple(
        Group(tuple(places), _moved(stack(_rows(calls, places)), device), perturbation) for (_, perturbation), places in groups.items()
    )


def _conds(call: Denoise) -> tuple[Conditioning, ...]:
    return call.conds if call.lead is None else call.conds + call.lead.conds


def _rows(calls: Sequence[Denoise], places: Sequence[tuple[int, int]]) -> list[Conditioning]:
    own = [calls[i].conds[j] for i, j in places]
    return own + [lead.conds[j] for i, j in places if (lead := calls[i].lead)]


def _moved(cond: Conditioning, device: torch.device) -> Conditioning:
    if cond.tokens.device == device:
        return cond
    pooled = None if cond.pooled is None else cond.pooled.to(device)
    return Conditioning(cond.tokens.to(device), pooled, {name: tensor.to(device) for name, tensor in cond.extras.items()})
