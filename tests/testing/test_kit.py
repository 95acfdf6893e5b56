"""The conformance kit finds what it is there to find: each misbehaviour is a sampler that it must refuse, with the right words."""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from gesso.errors import InvalidRequest, SamplerFault
from gesso.model import Parametrisation
from gesso.plugin import sampler, schedule
from gesso.testing import check_sampler, check_schedule, run, trace
from gesso.testing.denoisers import Gaussian, Wavy, epsilon_model, flow_model

Steps = Generator[Any, Any, Any]


def euler(x: Tensor, sigmas: Sequence[float], steps: int | None = None) -> Steps:
    for sigma, sigma_next in list(pairwise(sigmas))[:steps]:
        denoised = (yield x, sigma).denoised
        x = x + (x - denoised) / sigma * (sigma_next - sigma)
    return x


def test_a_good_sampler_passes() -> None:
    check_sampler(sampler("good", title="Good", paper="none")(euler))


def global_noise(x: Tensor, sigmas: Sequence[float]) -> Steps:
    return (yield from euler(x + torch.randn_like(x) * 1e-3, sigmas))


def python_noise(x: Tensor, sigmas: Sequence[float]) -> Steps:
    return (yield from euler(x * (1 + 1e-3 * random.random()), sigmas))


def secret_noise(x: Tensor, sigmas: Sequence[float], *, noise: Any) -> Steps:
    return (yield from euler(x + 1e-3 * noise(1.0, 0.5), sigmas))


def in_place(x: Tensor, sigmas: Sequence[float]) -> Steps:
    for sigma, sigma_next in pairwise(sigmas):
        denoised = (yield x, sigma).denoised
        x += (x - denoised) / sigma * (sigma_next - sigma)
    return x


def writes_into_the_reply(x: Tensor, sigmas: Sequence[float]) -> Steps:
    for sigma, sigma_next in pairwise(sigmas):
        denoised = (yield x, sigma).denoised
        x = x + (x - denoised) / sigma * (sigma_next - sigma)
        denoised.zero_()
    return x


def asks_at_zero(x: Tensor, sigmas: Sequence[float]) -> Steps:
    x = yield from euler(x, sigmas)
    return (yield x, 0.0).denoised


def asks_twice(x: Tensor, sigmas: Sequence[float]) -> Steps:
    for sigma, sigma_next in pairwise(sigmas):
        yield x, sigma
        denoised = (yield x, sigma).denoised
        x = x + (x - denoised) / sigma * (sigma_next - sigma)
    return x


def stops_early(x: Tensor, sigmas: Sequence[float]) -> Steps:
    return (yield from euler(x, sigmas, steps=max(1, len(sigmas) // 2)))


def wrong_size(x: Tensor, sigmas: Sequence[float]) -> Steps:
    return (yield from euler(x, sigmas))[..., 1:]


def widens(x: Tensor, sigmas: Sequence[float]) -> Steps:
    return (yield from euler(x.double(), sigmas))


def stubborn(x: Tensor, sigmas: Sequence[float]) -> Steps:
    for sigma, sigma_next in pairwise(sigmas):
        try:
            denoised = (yield x, sigma).denoised
        except GeneratorExit:
            denoised = (yield x, sigma).denoised
        x = x + (x - denoised) / sigma * (sigma_next - sigma)
    return x


def leaves_gradients_on(x: Tensor, sigmas: Sequence[float]) -> Steps:
    with torch.enable_grad():
        return (yield from euler(x, sigmas))


def asks_nothing(x: Tensor, sigmas: Sequence[float]) -> Steps:
    return x
    yield


def remembers(x: Tensor, sigmas: Sequence[float], history: list[float] = []) -> Steps:  # noqa: B006  (the fault that is looked for)
    history.append(1.0)
    return (yield from euler(x * (1 + 1e-3 * len(history)), sigmas))


@pytest.mark.parametrize(
    ("function", "declared", "words"),
    [
        (global_noise, {}, "two results for one seed|global random numbers"),
        (python_noise, {}, "two results for one seed|global random numbers"),
        (secret_noise, {}, "uses noise; declare stochastic=True"),
        (euler, {"stochastic": True}, "declared stochastic but ignores the seed"),
        (in_place, {}, "writes into its input or into a reply"),
        (writes_into_the_reply, {}, "writes into its input or into a reply"),
        (asks_at_zero, {}, "asks about sigma 0.0"),
        (asks_twice, {}, "declares 1 evaluations a step but takes"),
        (stops_early, {}, "draws a Gaussian"),
        (wrong_size, {}, "returns the shape"),
        (widens, {}, "turns float32 into torch.float64"),
        (stubborn, {}, "goes on after it was closed at request 1"),
        (leaves_gradients_on, {}, "changes gradient mode between its steps"),
        (asks_nothing, {}, "asked for no evaluation"),
        (remembers, {}, "two results for one seed"),
    ],
)
def test_a_bad_sampler_is_refused(function: Any, declared: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_sampler(sampler("bad", title="Bad", paper="none", **declared)(function))


def test_a_sampler_that_is_wrong_for_flows_is_refused() -> None:
    def forgets_alpha(x: Tensor, sigmas: Sequence[float], *, noise: Any) -> Steps:
        for sigma, sigma_next in pairwise(sigmas):
            x = (yield x, sigma).denoised + sigma_next * noise(sigma, sigma_next)
        return x

    with pytest.raises(AssertionError, match="draws a Gaussian"):
        check_sampler(sampler("lcm", title="LCM", paper="none", stochastic=True)(forgets_alpha), model="consistency")


def test_a_refusal_of_flows_is_accepted_but_not_of_all() -> None:
    def epsilon_only(x: Tensor, sigmas: Sequence[float], *, parametrisation: Parametrisation) -> Steps:
        if parametrisation.is_flow:
            raise InvalidRequest("Not for flows.", field="sampler")
        return (yield from euler(x, sigmas))

    def never(x: Tensor, sigmas: Sequence[float]) -> Steps:
        raise InvalidRequest("Not today.", field="sampler")
        yield

    check_sampler(sampler("some", title="Some", paper="none")(epsilon_only))
    with pytest.raises(AssertionError, match="refuses an epsilon model"):
        check_sampler(sampler("none", title="None", paper="none")(never))


def test_what_a_sampler_raises_is_named() -> None:
    def broken(x: Tensor, sigmas: Sequence[float]) -> Steps:
        yield x, sigmas[0]
        raise ZeroDivisionError("nothing left")

    with pytest.raises(SamplerFault, match=r"'broken' failed with ZeroDivisionError: nothing left, at step 2"):
        check_sampler(sampler("broken", title="Broken", paper="none")(broken))


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (lambda model, steps: [1.0] * steps, "levels instead of"),
        (lambda model, steps: [steps - i + 0.5 for i in range(steps + 1)], "instead of 0"),
        (lambda model, steps: [1.0] * steps + [0.0], "does not fall strictly"),
        (lambda model, steps: [model.sigma_max * 2 / (i + 1) for i in range(steps)] + [0.0], "above the model's highest level"),
        (lambda model, steps: list(range(steps, -1, -1)), "other things than finite floats"),
        (lambda model, steps: [float("nan")] * (steps + 1), "other things than finite floats"),
    ],
)
def test_a_bad_schedule_is_refused(levels: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_schedule(schedule("bad", title="Bad", paper="none")(levels))


def test_the_gaussian_solves_its_own_equation() -> None:
    """Many small Euler steps come to where the closed form goes, in both spaces."""
    mean, covariance = torch.tensor([0.3, -1.0], dtype=torch.float64), torch.tensor([[1.0, 0.4], [0.4, 0.3]], dtype=torch.float64)
    for model, first, last in ((epsilon_model(), 8.0, 0.5), (flow_model(), 0.9, 0.3)):
        exact = Gaussian(model, mean, covariance)
        x = exact.start(torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64), first)
        sigmas = [first * (last / first) ** (i / 800) for i in range(801)]
        found = run(sampler("euler", title="Euler", paper="none")(euler), exact, x, sigmas, model=model)
        torch.testing.assert_close(found, exact.solve(x, first, last), rtol=5e-3, atol=5e-3)


def test_trace_keeps_the_requests() -> None:
    x = torch.ones(1, 1, 2, 2)
    done = trace(sampler("euler", title="Euler", paper="none")(euler), Wavy(epsilon_model()), x, [3.0, 1.0, 0.0])
    assert done.levels == (3.0, 1.0)
    assert torch.equal(done.requests[0][0], x)
