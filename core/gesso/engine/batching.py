"""Which calls may share a forward, how conditionings are stacked, and up to how many rows sharing pays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch

from gesso.engine.calls import Apply, Call, Decode, Denoise, DenoiseGrad, Embed, EncodeImage, EncodeText, Load, NextTokens
from gesso.model import Conditioning, Patch

Key = tuple[object, ...]


def stack(conds: Sequence[Conditioning]) -> Conditioning:
    """Conditionings of equal layout, one below the other: batch B from B of batch 1."""
    if len(conds) == 1:
        return conds[0]
    pooled = [cond.pooled for cond in conds if cond.pooled is not None]
    return Conditioning(
        torch.cat([cond.tokens for cond in conds]),
        torch.cat(pooled) if pooled else None,
        {name: torch.cat([cond.extras[name] for cond in conds]) for name in conds[0].extras},
    )


class Stacked:
    """Tensors one below the other on a device. Who asks again for the same ones gets the same tensor, so that whoever is shown it at every
    step of a job can see that it is the same.
    """

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._held: OrderedDict[tuple[int, ...], tuple[Sequence[torch.Tensor], torch.Tensor]] = OrderedDict()

    def of(self, rows: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
        """The rows are held beside it, so that no other tensor gets their ids."""
        key = tuple(map(id, rows))
        if key not in self._held:
            self._held[key] = rows, torch.cat(list(rows)).to(device)
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key][1]


def key_of(call: Call) -> Key:
    """Calls with equal keys may share a forward: kind, model, patches, shape, dtype, conditioning layouts, perturbations, leads."""
    match call:
        case Denoise():  # by name: taking eight fields apart takes longer than all else here
            layouts = tuple(dict.fromkeys([cond.layout() for cond in call.conds]))
            steered = tuple([control.layout() for control in call.controls])
            perturbed = tuple(dict.fromkeys(call.perturbations))
            share = None if call.lead is None else call.lead.share
            what: Key = (call.model.digest, _digests(call.patches), call.x.shape, call.x.dtype, layouts, steered, perturbed, share)
        case DenoiseGrad(denoise, losses):
            what = (*key_of(denoise), *((loss.model.digest, loss.method) for loss in losses))
        case NextTokens():
            what = (call.model.digest, call.cond.layout())
        case EncodeImage(model, tensor, patches) | Decode(model, tensor, patches):
            what = (model.digest, _digests(patches), tuple(tensor.shape), tensor.dtype)
        case Apply(model, method):
            what = (model.digest, method)
        case EncodeText():
            what = scope_of(call)
        case Embed(model) | Load(model):
            what = (model.digest,)
        case _:
            what = ()
    return (type(call).__name__, *what)


def scope_of(call: EncodeText) -> Key:
    """What the embedding of a text depends on beside the text."""
    return call.model.digest, _digests(call.patches), call.negative


def rows_of(call: Call) -> int:
    """How many rows a call brings to a forward."""
    match call:
        case Denoise():
            return len(call.conds) * (1 if call.lead is None else 2)
        case DenoiseGrad():
            return rows_of(call.denoise)
        case EncodeText():
            return len(call.texts)
        case Embed():
            return max(1, len(call.pictures))  # texts are short, and mostly known
        case _:
            return 1


def size_of(call: Call) -> int:
    """How large a call is, in numbers that go in: only to let small ones go first."""
    match call:
        case Denoise():
            return call.x.numel() * rows_of(call)
        case DenoiseGrad():
            return 3 * size_of(call.denoise)
        case EncodeImage():
            return call.image.numel()
        case Decode():
            return call.latent.numel()
        case Embed():
            return sum(picture.size for picture in call.pictures)
        case _:
            return 0


def _digests(patches: Sequence[Patch]) -> tuple[str, ...]:
    return tuple([patch.digest for patch in patches])


class Knee:
    """Learns for each key up to how many rows a forward gets cheaper per row.

    Row counts fall into rungs 1, 2, 4, 8, ... For each rung the mean seconds per row is remembered (newer forwards weigh more). The limit
    climbs a rung at a time, as long as the next one is at least 5 % cheaper per row than all below; every 256th forward may try one rung
    more, since the machine's load changes.
    """

    GAIN = 0.95
    SAMPLES = 3
    RETRY = 256

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._means: dict[Key, dict[int, tuple[float, int]]] = {}
        self._caps: dict[Key, int] = {}
        self._forwards: dict[Key, int] = {}

    def limit(self, key: Key) -> int:
        """How many rows to gather at most; a call that brings more by itself runs whole."""
        most = min(self._most, self._caps.get(key, self._most))
        measured = self._means.get(key, {})
        rung = min(measured, default=1)
        while rung < most and self._climbs(measured, rung):
            rung *= 2
        if self._forwards.get(key, 0) % self.RETRY == self.RETRY - 1:
            rung *= 2
        return min(rung, most)

    def record(self, key: Key, rows: int, seconds: float) -> None:
        """A forward of ``rows`` took ``seconds``."""
        rung = 1 << (rows.bit_length() - 1)
        means = self._means.setdefault(key, {})
        mean, samples = means.get(rung, (seconds / rows, 0))
        means[rung] = (mean + (seconds / rows - mean) / min(samples + 1, 8), samples + 1)
        self._forwards[key] = self._forwards.get(key, 0) + 1

    def lower(self, key: Key, rows: int) -> None:
        """So many rows did not fit into memory."""
        self._caps[key] = max(1, rows // 2)

    def _climbs(self, measured: dict[int, tuple[float, int]], rung: int) -> bool:
        """Whether the next rung is better than all up to this one, or is the one to try next."""
        if _samples(measured, rung * 2) < self.SAMPLES:
            return _samples(measured, rung) >= self.SAMPLES
        below = min(measured[lower][0] for lower in measured if lower <= rung)
        return measured[rung * 2][0] <= self.GAIN * below


def _samples(measured: dict[int, tuple[float, int]], rung: int) -> int:
    return measured.get(rung, (0.0, 0))[1]
