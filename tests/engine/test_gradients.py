"""Guidance by a gradient: it is the true one, costs no other row a bit, is shared in `fast`, replayed to equal bits, its faults named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.toys import CARD, FLOATS, LED, REF, SIGMAS, Bench, Job, ToyModel, cfg, euler, everything, led, log_in, noise, same

from gesso.engine import (
    Denoise,
    DenoiseGrad,
    EncodeText,
    Ended,
    Graded,
    Gradient,
    Guide,
    Loss,
    ModelRef,
    Prompted,
    Steer,
    drive,
    guided,
    steered,
)
from gesso.engine.batching import key_of
from gesso.errors import ModelError, PluginError
from gesso.model import Conditioning, Control, Perturbation

COND, UNCOND = Conditioning(torch.ones(1, 3, 8)), Conditioning(torch.zeros(1, 3, 8))
LOSS = Loss(REF, "distance", {"target": noise(97)[:, :3]})


def graded(*losses: Loss, conds: tuple[Conditioning, ...] = (COND, UNCOND), seed: int = 1) -> Job:
    return (yield DenoiseGrad(Denoise(REF, noise(seed), 2.0, conds), losses))


def plain(seed: int = 1) -> Job:
    return (yield Denoise(REF, noise(seed), 2.0, (COND, UNCOND)))


def distance(x: torch.Tensor) -> torch.Tensor:
    model = ToyModel(CARD)
    picture = model.decode(model.denoise(x, torch.tensor([2.0]), COND))
    return ((picture - LOSS.inputs["target"]) ** 2).sum()


def test_the_gradient_is_that_of_the_loss_of_the_first_row() -> None:
    bench = Bench()
    bench.run(("a", graded(LOSS)), ("b", plain()))
    found: Graded = bench.value("a")
    (gradient,) = found.gradients
    assert found.losses == pytest.approx([float(distance(noise(1)))], rel=1e-5)
    direction, width = noise(5), 1e-2
    slope = (distance(noise(1) + width * direction) - distance(noise(1) - width * direction)) / (2 * width)
    assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=1e-2)
    for one, other in zip(found.denoised.predictions, bench.value("b").predictions, strict=True):
        torch.testing.assert_close(one, other)
    assert not any(tensor.requires_grad for tensor in (*found.denoised.predictions, gradient))


def test_each_loss_has_its_own_gradient() -> None:
    other = Loss(REF, "distance", {"target": noise(96)[:, :3]})
    bench = Bench()
    bench.run(("both", graded(LOSS, other)), ("one", graded(LOSS)), ("two", graded(other)))
    assert same(bench.value("both").gradients, (*bench.value("one").gradients, *bench.value("two").gradients))


def test_rows_without_a_gradient_are_computed_apart_and_change_no_bit() -> None:
    bench = Bench()
    bench.run(("alone", graded(LOSS, conds=(COND,))), ("beside", graded(LOSS)))
    assert bench.model.batches == [1, 1, 1]
    assert same(bench.value("alone").gradients, bench.value("beside").gradients)


def test_in_fast_calls_share_the_forward_and_keep_their_gradients() -> None:
    def crowd(level: str) -> Bench:
        bench = Bench()
        for warm in range(4):
            bench.start(f"warm {warm}", graded(LOSS, seed=50 + warm), level=level)
        bench.engine.run()
        bench.model.batches.clear()
        for seed in range(6):
            loss = Loss(REF, "distance", {"target": noise(90 + seed)[:, :3]})
            bench.start(str(seed), graded(loss, seed=seed), level=level)
        bench.engine.run()
        return bench

    exact, fast = crowd("exact"), crowd("fast")
    assert max(exact.model.batches) == 1
    assert max(fast.model.batches) > 1
    for seed in range(6):
        one, other = exact.value(str(seed)), fast.value(str(seed))
        torch.testing.assert_close(one.gradients[0], other.gradients[0], rtol=1e-4, atol=1e-6)
        assert one.losses == pytest.approx(other.losses, rel=1e-5)


def test_keys_tell_losses_apart_by_model_and_method() -> None:
    call = Denoise(REF, noise(1), 2.0, (COND,))
    other = ModelRef("other", "e" * 8)
    calls = [DenoiseGrad(call, (loss,)) for loss in (LOSS, Loss(other, "distance", {}), Loss(REF, "score", {}))]
    assert len({key_of(each) for each in [call, *calls]}) == 4
    assert key_of(calls[0]) == key_of(DenoiseGrad(Denoise(REF, noise(2), 1.0, (COND,)), (Loss(REF, "distance", {"target": 0}),)))


def picture(seed: int, *guides: Guide) -> Job:
    cond, uncond = yield EncodeText(REF, ("a cat", ""))
    return (yield from drive(euler(noise(seed) * SIGMAS[0], SIGMAS), guided(guides, Prompted(REF, cond, uncond), FLOATS, SIGMAS)))


def test_beside_other_guidance_it_moves_x0_down_the_slope() -> None:
    free = Guide("cfg", cfg, {"scale": 2.0})
    bench = Bench()
    bench.run(("free", picture(3, free)), ("led", picture(3, free, LED)), ("alone", picture(3, LED)), ("none", picture(3)))
    target = LOSS.inputs["target"]
    far = {job: float(((torch.sigmoid(bench.value(job)[:, :3]) - target) ** 2).sum()) for job in ("free", "led", "alone", "none")}
    assert far["led"] < far["free"]
    assert far["alone"] < far["none"]


def test_two_guidances_get_the_gradient_that_each_asked_for() -> None:
    other = Guide("other", led, {"scale": 0.25, "target": 96}, judge=REF)
    bench = Bench()
    bench.run(("one", picture(3, LED, other)), ("other", picture(3, other, LED)))
    torch.testing.assert_close(bench.value("one"), bench.value("other"))
    asked = next(guided([LED, other], Prompted(REF, COND, UNCOND), FLOATS, SIGMAS)(noise(1), 3.0))
    assert [loss.inputs["target"].sum() for loss in asked.losses] == [noise(97)[:, :3].sum(), noise(96)[:, :3].sum()]


def test_outside_its_interval_no_gradient_is_computed() -> None:
    half = Guide("led", led, {"scale": 0.5}, end=0.5, judge=REF)
    denoiser = guided([half], Prompted(REF, COND, UNCOND), FLOATS, SIGMAS)
    assert [type(next(denoiser(noise(1), sigma))) for sigma in SIGMAS[:-1]] == [DenoiseGrad] * 3 + [Denoise] * 3


def test_controls_steer_it_too() -> None:
    control = Control(REF, torch.zeros(1, 3, 64, 64), 1.0)
    denoiser = steered(guided([LED], Prompted(REF, COND, UNCOND), FLOATS, SIGMAS), [Steer(control, end=0.5)], SIGMAS)
    assert next(denoiser(noise(1), 5.0)).denoise.controls == (control,)
    assert next(denoiser(noise(1), 0.2)).denoise.controls == ()


@pytest.mark.parametrize("at", [1, 9, 20])
def test_a_replayed_job_ends_in_equal_bits(tmp_path: Path, at: int) -> None:
    """A mask, guidance, a gradient and pruning: broken off after some calls, and once more from the log."""
    whole = Bench()
    whole.run(("a", everything(1)))
    broken = Bench()
    broken.start("a", everything(1), log=log_in(tmp_path))
    for _ in range(at):
        broken.engine.turn()
    assert not any(isinstance(event, Ended) for _, event in broken.events)
    again = Bench()
    again.start("a", everything(1), log=log_in(tmp_path))
    again.engine.run()
    assert same(again.value("a"), whole.value("a"))
    assert len(again.model.batches) < len(whole.model.batches) or at == 1


class Flat(ToyModel):
    """Its distance has no finite slope."""

    def apply(self, method: str, inputs: Any) -> Any:
        return (inputs["picture"] * float("nan")).sum()


def test_a_slope_that_is_no_number_is_the_models_fault() -> None:
    bench = Bench(model=Flat(CARD))
    bench.run(("a", graded(LOSS)))
    error = bench.end("a").error
    assert isinstance(error, ModelError)
    assert "'distance' whose gradient is not finite" in error.message


def test_a_judge_without_the_method_is_named() -> None:
    bench = Bench()
    bench.run(("a", graded(Loss(REF, "taste", {}))))
    assert "The model 'toy' cannot do 'taste'" in str(bench.end("a").error)


def greedy(_: Any) -> Any:
    yield (Gradient("distance", {}), Gradient("score", {}))


def unjudged(_: Any) -> Any:
    yield (Gradient("distance", {}),)


@pytest.mark.parametrize(
    ("function", "judge", "said"),
    [(greedy, REF, "asked for two gradients"), (unjudged, None, "asked for a gradient and declares no judge")],
)
def test_what_a_guidance_may_not_ask(function: Any, judge: ModelRef | None, said: str) -> None:
    with pytest.raises(PluginError, match=f"The guidance 'odd' {said}"):
        next(guided([Guide("odd", function, judge=judge)], Prompted(REF, COND, UNCOND), FLOATS, SIGMAS)(noise(1), 3.0))


def test_a_perturbed_row_beside_it_is_perturbed() -> None:
    weak = Perturbation("attention", ("mix",))
    call = DenoiseGrad(Denoise(REF, noise(1), 2.0, (COND, COND), perturbations=(None, weak)), (LOSS,))

    def ask() -> Job:
        return (yield call)

    bench = Bench()
    bench.run(("a", ask()))
    assert "cannot perturb its layers" in str(bench.end("a").error)
