"""Guidance in the engine: which rows are asked for, in which order guides work, what is shared, and that a fault names its guidance."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.engine.toys import CARD, FLOATS, REF, SIGMAS, Bench, Job, ToyModel, euler, noise, same

from gesso.engine import (
    NEGATIVE,
    PROMPT,
    Denoise,
    Denoised,
    EncodeText,
    Guide,
    Prompted,
    Row,
    drive,
    guided,
)
from gesso.engine.batching import key_of
from gesso.engine.guidance import fraction_of
from gesso.errors import ModelError, PluginError
from gesso.model import Conditioning, Perturbation

COND, UNCOND = Conditioning(torch.ones(1, 3, 8)), Conditioning(torch.zeros(1, 3, 8))
PROMPTED = Prompted(REF, COND, UNCOND)
WEAK = Row(perturb=Perturbation("attention", ("mix",)))


def away(moment: Any, scale: float, row: Row) -> Any:
    predicted = yield (row,)
    return predicted.x0 + scale * (predicted[PROMPT] - predicted[row])


def scaled(moment: Any, factor: float) -> Any:
    return factor * (yield ()).x0


class Perturbable(ToyModel):
    """The toy with a layer that can be spoiled."""

    @contextlib.contextmanager
    def perturbed(self, perturbation: Perturbation) -> Iterator[None]:
        before = self.mix.bias.data
        self.mix.bias.data = before + len(perturbation.layers)
        yield
        self.mix.bias.data = before


def one(guides: list[Guide], sigma: float = 3.0) -> tuple[Denoised, Denoise]:
    """The answer to one request, where each row's prediction is its number."""
    generator = guided(guides, PROMPTED, FLOATS, SIGMAS)(noise(1), sigma)
    call = next(generator)
    rows = tuple(torch.full((1, 4, 8, 8), float(i + 1)) for i in range(len(call.conds)))
    with pytest.raises(StopIteration) as end:
        generator.send(Denoised(rows[0], rows[-1], rows))
    return end.value.value, call


def test_all_rows_travel_in_one_call_and_each_once() -> None:
    guides = [
        Guide("b", away, {"scale": 2.0, "row": WEAK}),
        Guide("a", away, {"scale": 1.0, "row": NEGATIVE}),
        Guide("c", scaled, {"factor": 0.5}),
    ]
    reply, call = one([*guides, guides[0]])
    assert call.conds == (COND, UNCOND, COND)
    assert call.perturbations == (None, None, WEAK.perturb)
    # prompt 1, negative 2, weak 3: (1 + 2 (1 - 3) + (1 - 2)) / 2 + 2 (1 - 3)
    assert float(reply.denoised.mean()) == -6.0
    assert float(reply.uncond.mean()) == 2.0
    assert len(reply.predictions) == 3


def test_no_guide_is_one_plain_row() -> None:
    reply, call = one([])
    assert call == Denoise(REF, call.x, 3.0, (COND,))
    assert reply.denoised is reply.uncond


def test_outside_its_interval_a_guide_asks_for_nothing() -> None:
    guide = Guide("a", away, {"scale": 1.0, "row": NEGATIVE}, start=1 / 6, end=0.5)
    rows = [len(one([guide], sigma)[1].conds) for sigma in SIGMAS[:-1]]
    assert rows == [1, 2, 2, 1, 1, 1]
    assert [len(one([Guide("a", away, {"scale": 1.0, "row": NEGATIVE})], sigma)[1].conds) for sigma in SIGMAS] == [2] * 7


def test_fractions_are_places_among_the_steps() -> None:
    levels = [-sigma for sigma in SIGMAS]
    assert [fraction_of(sigma, levels) for sigma in SIGMAS] == [i / 6 for i in range(7)]
    assert fraction_of(99.0, levels) == 0.0
    assert fraction_of(4.0, levels) == pytest.approx(0.5 / 6)


def test_keys_differ_by_perturbation_and_nothing_else() -> None:
    plain = Denoise(REF, noise(1), 3.0, (COND, COND))
    weak = Denoise(REF, noise(2), 1.0, (COND, COND), perturbations=(None, WEAK.perturb))
    other = Denoise(REF, noise(2), 1.0, (COND, COND), perturbations=(None, Perturbation("skip", ("mix",))))
    assert len({key_of(plain), key_of(weak), key_of(other)}) == 3
    assert key_of(weak) == key_of(Denoise(REF, noise(3), 2.0, (COND, COND), perturbations=(None, WEAK.perturb)))


def picture(seed: int, scale: float = 2.0, prompt: str = "a cat") -> Job:
    cond, uncond = yield EncodeText(REF, (prompt, ""))
    guides = [Guide("cfg", away, {"scale": 1.5, "row": NEGATIVE}), Guide("weak", away, {"scale": scale, "row": WEAK}, start=0.3)]
    denoiser = guided(guides, Prompted(REF, cond, uncond), FLOATS, SIGMAS)
    return (yield from drive(euler(noise(seed) * SIGMAS[0], SIGMAS), denoiser))


def test_a_guided_job_alone_equals_the_same_job_in_a_crowd() -> None:
    alone = Bench(model=Perturbable(CARD))
    alone.run(("a", picture(5)))
    crowd = Bench(model=Perturbable(CARD))
    crowd.run(("b", picture(6, 7.0)), ("a", picture(5)), ("c", picture(7, prompt="a long red dog")))
    assert torch.equal(alone.value("a"), crowd.value("a"))
    assert not torch.equal(alone.value("a"), crowd.value("b"))


def test_a_perturbed_row_changes_no_bit_of_the_others() -> None:
    def job(perturbations: tuple[Perturbation | None, ...]) -> Job:
        conds = (COND, UNCOND, COND)[: len(perturbations)]
        return (yield Denoise(REF, noise(1), 3.0, conds, perturbations=perturbations)).predictions

    bench = Bench(model=Perturbable(CARD))
    bench.run(("weak", job((None, None, WEAK.perturb))), ("plain", job((None, None))))
    assert same(bench.value("weak")[:2], bench.value("plain"))
    assert torch.allclose(bench.value("weak")[2], bench.value("plain")[0] + 1.0, atol=1e-6)


def test_in_fast_different_guided_jobs_share_forwards() -> None:
    def crowd(level: str) -> Bench:
        bench = Bench(model=Perturbable(CARD))
        for job, generator in (("a", picture(5)), ("b", picture(6, 7.0)), ("c", picture(7))):
            bench.start(job, generator, level=level)
        bench.engine.run()
        return bench

    fast, exact = crowd("fast"), crowd("exact")
    assert max(fast.model.batches) > 2
    assert max(exact.model.batches) == 2
    for job in "abc":
        assert torch.allclose(fast.value(job), exact.value(job), rtol=1e-4, atol=1e-5)


def test_the_engine_refuses_what_the_model_cannot() -> None:
    bench = Bench()
    bench.run(("a", picture(1)))
    error = bench.end("a").error
    assert isinstance(error, ModelError)
    assert "cannot perturb its layers" in error.message


def nothing(moment: Any) -> Any:
    yield from ()
    return moment.x


def twice(moment: Any) -> Any:
    yield ()
    yield ()


def broken(moment: Any) -> Any:
    yield ()
    raise ValueError("no such colour")


def misshapen(moment: Any) -> Any:
    return (yield ()).x0[0]


def confused(moment: Any) -> Any:
    yield "rows"


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (nothing, "returned before"),
        (twice, "asked for rows twice"),
        (broken, "no such colour"),
        (misshapen, "shaped like x"),
        (confused, "asked for str"),
        (scaled, "factor"),
    ],
)
def test_a_fault_names_its_guidance(function: Any, said: str) -> None:
    with pytest.raises(PluginError, match="The guidance 'odd'") as caught:
        one([Guide("odd", function)])
    assert said in caught.value.message
