"""What goes wrong in one job ends that job with a sentence, and hurts nobody else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

import pytest
import torch
from tests.engine.toys import CARD, REF, Bench, ToyModel, noise, simple, threads
from torch import Tensor

from gesso.engine import (
    All,
    Apply,
    CallError,
    Decode,
    Denoise,
    EncodeText,
    Host,
    Job,
    Load,
    ModelRef,
    Preview,
    Progress,
    Warn,
)
from gesso.engine.calls import Emit
from gesso.errors import InvalidRequest, ModelError, OutOfMemory, PluginError
from gesso.model import Conditioning, Control

COND = Conditioning(torch.zeros(1, 3, 8))


def test_a_job_that_raises_while_it_is_closed_is_contained(caplog: pytest.LogCaptureFixture) -> None:
    def job() -> Job:
        try:
            yield from simple(1)
        finally:
            raise ValueError("not so fast")

    bench = Bench()
    bench.start("a", job())
    bench.engine.turn()
    bench.engine.cancel("a")
    assert bench.end("a").state == "cancelled"
    assert "not so fast" in caplog.text


def test_an_operation_that_raises_is_named_and_only_the_log_has_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def job() -> Job:
        yield Host(len, ((),))
        raise KeyError("what")

    bench = Bench()
    with caplog.at_level(logging.ERROR):
        bench.run(("a", job()), ("good", simple(4)))
    error = bench.end("a").error
    assert isinstance(error, PluginError)
    assert error.message == "The operation 'toy' failed with KeyError: 'what'."
    assert error.details == {"plugin": "toys"}
    assert "Traceback" in caplog.text
    assert bench.end("good").state == "done"


@pytest.mark.parametrize("asked", [5, None, "x", All(5), (noise(1), 1.0)])  # type: ignore[arg-type]
def test_yielding_what_is_no_call(asked: object) -> None:
    def job() -> Job:
        yield asked

    bench = Bench()
    bench.run(("a", job()))
    error = bench.end("a").error
    assert isinstance(error, PluginError)
    assert "expected" in error.message


def test_errors_of_gesso_pass_with_their_code() -> None:
    def job() -> Job:
        yield Host(len, ((),))
        raise InvalidRequest("The size is odd.", field="width")

    bench = Bench()
    bench.run(("a", job()))
    error = bench.end("a").error
    assert isinstance(error, InvalidRequest)
    assert error.field == "width"


def crash() -> None:
    raise OSError("the disk is gone")


def test_failed_calls_arrive_by_throw_and_may_be_survived() -> None:
    def job() -> Job:
        caught: list[BaseException] = []
        steered = Denoise(REF, noise(1), 1.0, (COND,), (), (Control(REF, noise(3)),))
        for call in (Host(crash), Apply(REF, "crash", {}), Apply(REF, "unknown", {}), steered):
            try:
                yield call
            except CallError as fault:
                caught.append(fault.cause)
        image = yield Decode(REF, noise(2))
        return caught, image

    bench = Bench()
    bench.run(("a", job()))
    (host, applied, unknown, controls), image = bench.value("a")
    assert isinstance(host, PluginError)
    assert "'crash'" in host.message
    assert "the disk is gone" in host.message
    assert isinstance(applied, ModelError)
    assert "the toy crashed" in applied.message
    assert isinstance(unknown, ModelError)
    assert isinstance(controls, ModelError)
    assert "cannot do 'unknown'" in unknown.message
    assert "cannot take controls" in controls.message
    assert image.shape == (1, 3, 8, 8)


def test_an_uncaught_failed_call_ends_the_job_with_its_error() -> None:
    def job() -> Job:
        yield Apply(REF, "unknown", {})

    bench = Bench()
    bench.run(("a", job()))
    assert isinstance(bench.end("a").error, ModelError)


def test_the_first_error_in_all_closes_the_siblings() -> None:
    closed: list[int] = []

    def sibling(i: int) -> Job:
        try:
            while True:
                yield Apply(REF, "score", {"x": noise(i)})
        except GeneratorExit:
            closed.append(i)
            raise

    def failing() -> Job:
        yield Apply(REF, "score", {"x": noise(0)})
        raise ValueError("no")

    def job() -> Job:
        try:
            yield All(failing(), sibling(1), sibling(2), nested(3))
        except ValueError as fault:
            rest = yield All(Apply(REF, "score", {"x": noise(7)}), Decode(REF, noise(1)))
            return str(fault), len(rest)

    def nested(i: int) -> Job:
        return (yield All(sibling(i), sibling(i + 1)))

    bench = Bench()
    bench.run(("a", job()))
    assert bench.value("a") == ("no", 2)
    assert sorted(closed) == [1, 2, 3, 4]
    assert not bench.engine.busy


def test_a_failed_call_in_all_arrives_as_call_error() -> None:
    def job() -> Job:
        try:
            yield All(Apply(REF, "score", {"x": noise(0)}), Apply(REF, "unknown", {}), Apply(REF, "score", {"x": noise(0)}))
        except CallError as fault:
            return type(fault.cause)

    bench = Bench()
    bench.run(("a", job()))
    assert bench.value("a") is ModelError


def test_replies_of_all_are_ordered_and_may_be_none() -> None:
    def job() -> Job:
        empty = yield All()
        full = yield All(Host(len, ((1, 2),)), part(3), Apply(REF, "double", {"value": 4}), part(1))
        return empty, full

    def part(calls: int) -> Job:
        for i in range(calls):
            yield Apply(REF, "score", {"x": noise(i)})
        return calls

    bench = Bench(pool=threads())
    bench.run(("a", job()))
    assert bench.value("a") == ((), (2, 3, 8, 1))


class Limited(ToyModel):
    """A model that has room for two rows."""

    room = 2

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        if len(x) > self.room:
            raise torch.OutOfMemoryError("too many rows")
        return super().denoise(x, sigma, cond)


def test_out_of_memory_splits_a_shared_forward_and_is_remembered() -> None:
    bench = Bench(model=Limited(CARD))
    bench.run(*((str(seed), simple(seed)) for seed in range(6)), level="fast")
    assert all(bench.end(str(seed)).state == "done" for seed in range(6))
    assert max(bench.model.batches) == 2
    assert bench.models.room > 0


def test_out_of_memory_alone_fails_one_job(caplog: pytest.LogCaptureFixture) -> None:
    limited = Limited(CARD)
    limited.room = 1
    bench = Bench(model=limited)
    bench.run(("guided", simple(1)), ("plain", simple(2, guidance=1.0)))
    error = bench.end("guided").error
    assert isinstance(error, OutOfMemory)
    assert error.hint
    assert bench.end("plain").state == "done"


def test_a_model_that_answers_nan_is_blamed_and_not_the_sampler() -> None:
    class Broken(ToyModel):
        def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
            return super().denoise(x, sigma, cond) * float("nan")

    class Shrinking(ToyModel):
        def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
            return super().denoise(x, sigma, cond)[..., 1:]

    for model in (Broken(CARD), Shrinking(CARD)):
        bench = Bench(model=model)
        bench.run(("a", simple(1)))
        assert isinstance(bench.end("a").error, ModelError)


def test_one_bad_row_in_a_shared_forward_fails_its_own_job_only() -> None:
    class Picky(ToyModel):
        def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
            if bool((sigma == 1.25).any()):
                raise ValueError("1.25 is not my number")
            return super().denoise(x, sigma, cond)

    def job(sigmas: Sequence[float]) -> Job:
        reply = None
        for sigma in sigmas:
            reply = yield Denoise(REF, noise(1), sigma, (COND, COND))
        return reply

    bench = Bench(model=Picky(CARD))
    bench.run(("bad", job([5.0, 4.0, 3.0, 2.0, 1.25])), *((str(i), job([5.0, 4.0, 3.0, 2.0, 1.0])) for i in range(4)), level="fast")
    assert isinstance(bench.end("bad").error, ModelError)
    assert all(bench.end(str(i)).state == "done" for i in range(4))
    assert max(bench.model.batches) > 2


def slow(seconds: float) -> str:
    time.sleep(seconds)
    return threading.current_thread().name


def test_host_functions_do_not_hold_the_loop_up() -> None:
    def job() -> Job:
        return (yield Host(slow, (0.5,)))

    bench = Bench(pool=threads())
    bench.start("host", job())
    bench.start("quick", simple(1))
    while "quick" in bench.engine.jobs:
        bench.engine.turn()
    assert bench.engine.jobs == ("host",)
    assert bench.engine.longest_host_call > 0
    bench.engine.run()
    assert bench.value("host") != threading.current_thread().name
    assert bench.engine.longest_host_call == 0


def test_pure_cpu_methods_of_a_model_run_on_the_pool_and_pin_it() -> None:
    def job() -> Job:
        return (yield All(*(Apply(REF, "double", {"value": i}) for i in range(5))))

    bench = Bench(pool=threads())
    bench.run(("a", job()))
    assert bench.value("a") == (0, 2, 4, 6, 8)
    assert bench.models.pins == 0


def test_cancelling_while_a_host_function_runs() -> None:
    def job() -> Job:
        yield Host(slow, (0.2,))
        raise AssertionError("resumed after cancel")

    bench = Bench(pool=threads())
    bench.start("a", job())
    bench.engine.turn()
    assert ("a",) in bench.marks[-1:]
    bench.engine.cancel("a")
    bench.engine.run()
    assert bench.end("a").state == "cancelled"


def test_a_generator_that_emits_for_ever_stops_nobody() -> None:
    def chatty() -> Job:
        while True:
            yield Emit(Warn("again"))

    bench = Bench()
    bench.start("chatty", chatty())
    bench.start("good", simple(1))
    while "good" in bench.engine.jobs:
        bench.engine.turn()
    bench.engine.cancel("chatty")
    assert bench.end("good").state == "done"


@pytest.mark.parametrize(
    "emit",
    [
        lambda: Emit(5),  # type: ignore[arg-type]
        lambda: Emit(Progress(0, 1, 2, float("nan"), 0.5)),
        lambda: Emit(Progress(-1, 1, 2, 1.0, 0.5)),
        lambda: Emit(Progress(0, 1, 2, 1.0, 1.5)),
        lambda: Emit(Preview(0, REF, noise(1)[0])),
        lambda: Emit(Preview(0, REF, "x")),  # type: ignore[arg-type]
    ],
)
def test_nonsense_cannot_be_emitted(emit: Callable[[], Emit]) -> None:
    def job() -> Job:
        yield emit()

    bench = Bench()
    bench.run(("a", job()))
    assert isinstance(bench.end("a").error, PluginError)


def test_texts_are_encoded_once() -> None:
    def job() -> Job:
        first = yield EncodeText(REF, ("cat", "dog", "cat"))
        second = yield All(EncodeText(REF, ("dog",)), EncodeText(ModelRef("other", "e" * 8), ("cat",)))
        return first, second

    bench = Bench()
    bench.run(("a", job()))
    (first, second) = bench.value("a")
    assert first[0] is first[2]
    assert second[0][0] is first[1]
    assert bench.model.batches == [-2, -1]


def test_load_answers_with_the_card() -> None:
    def job() -> Job:
        return (yield Load(REF))

    bench = Bench()
    bench.run(("a", job()))
    assert bench.value("a") == CARD


def test_the_same_id_twice_is_refused() -> None:
    bench = Bench()
    bench.start("a", simple(1))
    with pytest.raises(ValueError, match="'a'"):
        bench.start("a", simple(2))
    bench.engine.close()
