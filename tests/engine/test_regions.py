"""Prompts for parts of a picture: the weighted sum of the predictions, whole or perturbed, and every other row as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.engine.toys import CARD, FLOATS, REF, SIGMAS, Bench, Job, ToyModel, cfg, noise

from gesso.engine import Guide, Prompted, Regions, guided, plain, regional
from gesso.model import Conditioning


def cond(value: float) -> Conditioning:
    return Conditioning(torch.full((1, 3, 8), value))


WHOLE, LEFT, RIGHT, NEGATIVE = (cond(value) for value in (0.1, 0.7, -0.4, 0.3))
WEIGHTS = torch.tensor([[0.0, 0.5], [1.0, 0.25], [0.0, 0.25]]).view(3, 1, 1, 2)


def asked(denoiser: Any, x: torch.Tensor) -> torch.Tensor:
    def job() -> Job:
        return (yield from denoiser(x, 1.0))

    bench = Bench(model=ToyModel(CARD))
    bench.run(("a", job()))
    found: torch.Tensor = bench.value("a").denoised
    return found


def regions(x: torch.Tensor) -> Regions:
    return Regions(WHOLE, (LEFT, RIGHT), WEIGHTS.repeat_interleave(x.shape[-1] // 2, 3).expand(3, 1, *x.shape[-2:]))


@pytest.mark.parametrize("guidance", [None, 4.0])
def test_each_place_is_the_weighted_sum_of_the_predictions(guidance: float | None) -> None:
    x = noise(1)
    shares = regions(x)
    each = torch.cat([asked(plain(REF, said), x) for said in (WHOLE, LEFT, RIGHT)])
    mixed = (each * shares.weights).sum(0, keepdim=True)
    if guidance is None:
        found = asked(regional(plain(REF, WHOLE), shares), x)
    else:
        guide = Guide("cfg", cfg, {"scale": guidance})
        found = asked(regional(guided([guide], Prompted(REF, WHOLE, NEGATIVE), FLOATS, SIGMAS), shares), x)
        away = asked(plain(REF, NEGATIVE), x)
        mixed = away + guidance * (mixed - away)
    assert not torch.allclose(each[0], each[1])
    assert torch.allclose(found, mixed, atol=1e-5)
