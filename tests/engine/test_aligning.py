"""Calls that follow another picture: which row goes beside which, alone, in a crowd and for gradients; and what cannot follow."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import torch
from tests.engine.toys import CARD, REF, OneModel, ToyModel, noise
from torch import Tensor

from gesso.engine import Denoise, Denoised, DenoiseGrad, Lead, Leading, Loss, led, plain, recorded
from gesso.engine.forward import Forward, TextCache
from gesso.errors import InvalidRequest, ModelError
from gesso.model import Conditioning


class Follower(ToyModel):
    """Its followers take on the share of what the network says of their leads."""

    share = 0.0

    @contextlib.contextmanager
    def aligned(self, share: float) -> Iterator[None]:
        self.share = share
        yield
        self.share = 0.0

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        rows = [super(Follower, self).denoise(*(each.narrow(0, i, 1) for each in (x, sigma)), one(cond, i)) for i in range(len(x))]
        if not self.share:
            return torch.cat(rows)
        half = len(rows) // 2
        return torch.cat([own + self.share * lead for own, lead in zip(rows[:half], rows[half:], strict=True)] + rows[half:])


def one(cond: Conditioning, row: int) -> Conditioning:
    return Conditioning(cond.tokens[row : row + 1])


def words(value: float) -> Conditioning:
    return Conditioning(torch.full((1, 3, 8), value))


def following(seed: int) -> Denoise:
    conds = words(0.1 * seed), words(-1.0)
    return Denoise(REF, noise(seed), 2.0, conds, lead=Lead(noise(seed + 50), (words(0.7), words(-1.0)), 0.5))


def said(model: ToyModel, x: Tensor, cond: Conditioning) -> Tensor:
    return ToyModel.denoise(model, x, torch.tensor([2.0]), cond)


def test_each_row_follows_its_own_lead_alone_and_in_a_crowd() -> None:
    """Without the leads in the order of their followers a row would follow another call's lead, or the negative prompt's."""
    model = Follower(CARD)
    calls = [following(seed) for seed in (1, 2, 3)]
    together = Forward(OneModel(model), TextCache()).run(calls, [None] * len(calls))
    for call, reply in zip(calls, together, strict=True):
        assert call.lead is not None
        (single,) = Forward(OneModel(model), TextCache()).run([call], [None])
        for cond, its, found, alone in zip(call.conds, call.lead.conds, reply.predictions, single.predictions, strict=True):
            assert torch.equal(found, alone)
            assert torch.allclose(found, said(model, call.x, cond) + 0.5 * said(model, call.lead.x, its), atol=1e-6)


def test_gradients_are_those_of_the_picture_that_follows() -> None:
    """Without the lead's words cut like the call's own, the prompt's row alone would not find its lead."""
    model, call = Follower(CARD), following(4)
    losses = (Loss(REF, "distance", {"target": torch.zeros(1, 3, 8, 8)}),)
    (graded,) = Forward(OneModel(model), TextCache()).run([DenoiseGrad(call, losses)], [None])
    (plainly,) = Forward(OneModel(model), TextCache()).run([call], [None])
    for one_row, other in zip(graded.denoised.predictions, plainly.predictions, strict=True):
        assert torch.allclose(one_row, other, atol=1e-6)
    assert float(graded.gradients[0].abs().max()) > 0


def test_a_model_that_cannot_says_so() -> None:
    with pytest.raises(ModelError, match="cannot let pictures follow another"):
        Forward(OneModel(ToyModel(CARD)), TextCache()).run([following(1)], [None])


def answered(job: Generator[Any, Any, Denoised]) -> Denoise:
    """The call of a denoiser, which gets an answer."""
    call: Denoise = next(job)
    with pytest.raises(StopIteration):
        job.send(Denoised(call.x, call.x, (call.x,)))
    return call


def test_moments_are_met_in_their_order_and_no_others() -> None:
    """Without the check of levels a sampler that wanders off would be shown the lead at another level of noise."""
    own, its = words(0.2), words(0.9)
    leading = Leading(its, 0.5)
    lead = recorded(plain(REF, its), leading)
    for seed, sigma in ((1, 5.0), (2, 3.0)):
        answered(lead(noise(seed), sigma))
    follower = led(plain(REF, own), leading, own)
    for seed, sigma in ((1, 5.0), (2, 3.0)):
        call = answered(follower(noise(7), sigma))
        assert call.lead is not None
        assert torch.equal(call.lead.x, noise(seed))
        assert call.lead.conds == (its,)
    with pytest.raises(InvalidRequest, match="takes other steps"):
        next(follower(noise(7), 1.0))
    longer = Leading(Conditioning(torch.zeros(1, 6, 8)), 0.5, [(5.0, noise(1))])
    with pytest.raises(InvalidRequest, match="another number of tokens"):
        next(led(plain(REF, own), longer, own)(noise(7), 5.0))
