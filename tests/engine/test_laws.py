"""The laws of the engine: alone equals crowd, replay equals undisturbed, cancelling leaves no trace, image i equals the job of count 1."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.toys import REF, Bench, Job, everything, heun, log_in, noise, pictures, restart, same, simple

from gesso.engine import Denoise, Emit, Ended, Progress
from gesso.engine.task import Level
from gesso.model import Conditioning


def alone(seed: int) -> list[torch.Tensor]:
    bench = Bench()
    bench.run(("a", everything(seed)))
    value: list[torch.Tensor] = bench.value("a")
    return value


def test_everything_at_once_runs() -> None:
    images = alone(1)
    assert len(images) == 3
    assert not torch.equal(images[0], images[1])
    assert same(images, alone(1))
    assert not same(images, alone(2))


def test_alone_equals_crowd_in_exact() -> None:
    bench = Bench()
    crowd = [("a", everything(1)), ("b", everything(2)), ("c", pictures(5, 3)), ("d", simple(9, sampler=heun)), ("e", simple(4, size=16))]
    for place, (job, generator) in enumerate(crowd):
        bench.start(job, generator, client=f"client {place % 2}")
    bench.engine.run()
    assert same(bench.value("a"), alone(1))
    assert same(bench.value("b"), alone(2))
    assert max(bench.model.batches) <= 2  # a forward holds the conditionings of one call and no stranger


def test_image_i_equals_the_job_of_count_one() -> None:
    bench = Bench()
    bench.run(("many", pictures(20, 4)), ("one", pictures(22, 1)))
    assert same(bench.value("many")[2:3], bench.value("one"))


def test_fast_shares_forwards_and_deviates_little() -> None:
    exact, fast = Bench(), Bench()
    jobs = [(str(seed), seed) for seed in range(8)]
    exact.run(*((job, simple(seed)) for job, seed in jobs))
    fast.run(*((job, simple(seed)) for job, seed in jobs), level="fast")
    assert max(fast.model.batches) > 2
    assert len(fast.model.batches) < len(exact.model.batches)
    for job, _ in jobs:
        torch.testing.assert_close(fast.value(job), exact.value(job), rtol=1e-4, atol=1e-5)


def test_fast_rows_carry_different_sigmas() -> None:
    bench = Bench()
    bench.run(*((f"warm {seed}", simple(seed)) for seed in range(4)), level="fast")
    bench.start("first", simple(1), level="fast")
    for _ in range(6):
        bench.engine.turn()
    bench.start("second", simple(2), level="fast")
    bench.engine.run()
    assert any(len(set(sigmas)) > 1 for sigmas in bench.model.sigmas)


@pytest.mark.parametrize("every", [1, 3])
def test_a_job_killed_at_any_step_goes_on_to_the_same_bits(tmp_path: Path, every: int) -> None:
    undisturbed = alone(1)
    whole = Bench()
    whole.run(("a", everything(1)))
    for killed in range(1 + every, 1000, 7):
        log = log_in(tmp_path, f"{killed}.replay", every=every)
        first = Bench()
        first.start("a", everything(1), log=log)
        first.start("b", everything(2))
        for _ in range(killed):
            first.engine.turn()
        if any(isinstance(event, Ended) and job == "a" for job, event in first.events):
            break
        kept = len(log)
        first.engine.close()
        second = Bench()
        again = log_in(tmp_path, f"{killed}.replay", every=every)
        assert len(again) == kept
        second.start("a", everything(1), log=again)
        second.engine.run()
        assert same(second.value("a"), undisturbed), killed
        assert len(second.model.batches) <= len(whole.model.batches) - kept
        assert not (tmp_path / f"{killed}.replay").exists()
    else:
        pytest.fail("the job never ended")


def test_a_torn_tail_is_cut(tmp_path: Path) -> None:
    undisturbed = alone(3)
    bench = Bench()
    bench.start("a", everything(3), log=log_in(tmp_path))
    for _ in range(15):
        bench.engine.turn()
    bench.engine.close()
    file = tmp_path / "job.replay"
    content = file.read_bytes()
    whole = len(log_in(tmp_path))
    assert whole > 5
    for torn in (b"", content[:3], content[:-1], content[: len(content) // 2], content[:-20] + b"\xff" * 20, content + b"\0" * 7):
        file.write_bytes(torn)
        log = log_in(tmp_path)
        assert len(log) <= whole
        again = Bench()
        again.start("a", everything(3), log=log)
        again.engine.run()
        assert same(again.value("a"), undisturbed)


def test_the_log_is_bounded(tmp_path: Path) -> None:
    bench = Bench()
    log = log_in(tmp_path, limit=5000)
    bench.start("a", everything(3), log=log)
    for _ in range(20):
        bench.engine.turn()
    assert (tmp_path / "job.replay").stat().st_size <= 5000
    bench.engine.run()
    assert same(bench.value("a"), alone(3))


def test_a_full_disk_ends_the_log_and_not_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    bench = Bench()
    bench.start("a", simple(3), log=log_in(tmp_path))
    monkeypatch.setattr("os.pwrite", full)
    bench.engine.run()
    assert bench.end("a").state == "done"


def test_cancelling_at_every_step_leaves_no_trace() -> None:
    undisturbed = alone(1)
    expected = Bench()
    expected.run(("next", simple(5, sampler=restart)))
    for steps in range(0, 36, 2):
        bench = Bench()
        bench.start("victim", everything(8))
        bench.start("neighbour", everything(1))
        for _ in range(steps):
            bench.engine.turn()
        bench.engine.cancel("victim")
        bench.engine.cancel("victim")
        bench.engine.cancel("nobody")
        bench.start("next", simple(5, sampler=restart))
        bench.engine.run()
        assert bench.end("victim").state == "cancelled"
        assert same(bench.value("neighbour"), undisturbed)
        assert torch.equal(bench.value("next"), expected.value("next"))
        assert bench.engine.jobs == ()
        assert bench.models.pins == 0


@pytest.mark.parametrize("level", ["exact", "fast"])
@pytest.mark.parametrize("state", ["running", "paused", "resumed"])
def test_cancelling_at_each_turn_in_each_state_leaves_no_trace(state: str, level: Level) -> None:
    expected = Bench()
    expected.run(("neighbour", simple(1)), ("next", simple(5, sampler=restart)))
    closed: list[int] = []

    def victim(turns: int) -> Job:
        try:
            return (yield from simple(8, sampler=heun))
        finally:
            closed.append(turns)

    for turns in range(1000):
        bench = Bench()
        bench.start("victim", victim(turns), level=level)
        bench.start("neighbour", simple(1))
        for _ in range(turns):
            bench.engine.turn()
        if "victim" not in bench.engine.jobs:
            break
        if state != "running":
            bench.engine.pause("victim")
            bench.engine.turn()
        if state == "resumed":
            bench.engine.resume("victim")
        spent = bench.engine.counters["evaluations"]
        bench.engine.cancel("victim")
        assert bench.end("victim").state == "cancelled"
        assert "victim" not in bench.engine.jobs
        assert bench.engine.counters["evaluations"] == spent
        bench.start("next", simple(5, sampler=restart))
        bench.engine.cancel("victim")
        bench.engine.run()
        assert torch.equal(bench.value("neighbour"), expected.value("neighbour"))
        assert torch.equal(bench.value("next"), expected.value("next"))
        assert not any("victim" in ids for ids in bench.marks[bench.marks.index(("next",)) :])
        assert bench.models.pins == 0
    assert 11 < turns < 1000
    assert sorted(set(closed)) == [*range(1, turns + 1)]


def test_pausing_and_reprioritising_at_every_step_changes_no_bit() -> None:
    paused, neighbour = alone(8), alone(1)
    for steps in range(0, 36, 2):
        bench = Bench()
        bench.start("a", everything(8))
        bench.start("neighbour", everything(1))
        for _ in range(steps):
            bench.engine.turn()
        for job in ("a", "a", "nobody"):
            bench.engine.pause(job)
            bench.engine.reprioritise(job, "interactive")
        bench.engine.run()
        assert same(bench.value("neighbour"), neighbour)
        assert bench.engine.jobs == ("a",)
        assert not bench.engine.busy
        for job in ("a", "a", "nobody", "neighbour"):
            bench.engine.resume(job)
        bench.engine.run()
        assert same(bench.value("a"), paused)
        assert bench.models.pins == 0


def test_a_paused_job_can_be_cancelled() -> None:
    bench = Bench()
    bench.start("a", simple(1))
    bench.engine.turn()
    bench.engine.pause("a")
    bench.engine.turn()
    bench.engine.cancel("a")
    assert bench.end("a").state == "cancelled"
    assert bench.engine.jobs == ()


def test_cancelling_runs_finally_blocks_inside_out() -> None:
    told: list[str] = []

    def sampler(x: torch.Tensor, sigmas: list[float]) -> object:
        try:
            while True:
                yield x, 1.0
        finally:
            told.append("sampler")

    def job() -> Job:
        try:
            yield from simple(1, sampler=sampler)
        finally:
            told.append("job")

    bench = Bench()
    bench.start("a", job())
    for _ in range(5):
        bench.engine.turn()
    bench.engine.cancel("a")
    assert told == ["sampler", "job"]


def test_pause_resume_and_progress() -> None:
    bench = Bench()
    bench.start("a", simple(1))
    bench.start("b", simple(2))
    bench.engine.turn()
    bench.engine.pause("a")
    bench.engine.run()
    assert bench.end("b").state == "done"
    assert bench.engine.jobs == ("a",)
    assert not bench.engine.busy
    bench.engine.resume("a")
    bench.engine.run()
    reference = Bench()
    reference.run(("a", simple(1)))
    assert torch.equal(bench.value("a"), reference.value("a"))
    fractions = [event.fraction for job, event in bench.events if job == "a" and isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert len(fractions) == 6
    assert fractions[-1] == 1.0


def test_the_black_box_names_the_jobs_of_every_forward() -> None:
    bench = Bench()
    bench.run(("a", simple(1)), ("b", simple(2)))
    assert {("a",), ("b",)} <= set(bench.marks)
    assert bench.marks[-1] == ()
    fast = Bench()
    fast.run(*((str(seed), simple(seed)) for seed in range(6)), level="fast")
    assert any(len(ids) > 1 for ids in fast.marks)


def test_the_noise_of_a_toy_depends_on_its_seed_only() -> None:
    assert torch.equal(noise(3), noise(3))
    assert not torch.equal(noise(3), noise(4))


def test_what_was_emitted_can_be_sent_before_the_next_forward() -> None:
    """A forward may take seconds: who watches should not learn of a step when the one after it is done."""

    def steps() -> Generator[Any, Any, None]:
        for step in (1, 2, 3):
            yield Denoise(REF, noise(step), 1.0, (Conditioning(torch.zeros(1, 3, 8)),))
            yield Emit(Progress(0, step, 3, 1.0, step / 3))

    bench = Bench()
    bench.run(("a", steps()))
    assert bench.ahead == [(0, 0), (1, 1), (2, 2)]
