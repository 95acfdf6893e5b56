"""Who goes next: interactive before batch, clients by turns and by what they cost, small before large, otherwise in order."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import torch
from tests.engine.toys import REF, Bench, noise, pictures, simple, threads

from gesso.engine import All, Apply, Denoise, Ended, Host, Job
from gesso.engine.fairness import Fairness
from gesso.engine.task import Pending, Running, Task, Ticket
from gesso.model import Conditioning


def steps(count: int, size: int = 8) -> Job:
    cond = Conditioning(torch.zeros(1, 3, 8))
    for _ in range(count):
        yield Denoise(REF, noise(1, size), 1.0, (cond,))


def order_of(bench: Bench) -> list[str]:
    """The jobs in the order in which they ended."""
    return [job for job, event in bench.events if isinstance(event, Ended)]


def pending(job: str, client: str, *, order: int = 0, priority: str = "batch", size: int = 100, number: int = 0) -> Pending:
    running = Running(Ticket(job, client=client), order, "interactive" if priority == "interactive" else "batch")
    cond = Conditioning(noise(1))
    return Pending(Task(running, (), None), number, Denoise(REF, noise(1), 1.0, (cond,)), (), 1, size)


def served(costs: dict[str, float], rounds: int) -> Counter[str]:
    """How often each client goes first when every client always has something to run."""
    fairness, count = Fairness(), Counter[str]()
    waiting = [pending(client, client) for client in costs]
    for _ in range(rounds):
        first = fairness.order(waiting)[0].running.ticket.client
        count[first] += 1
        fairness.charge(first, costs[first])
    return count


def test_clients_share_time_and_not_turns() -> None:
    count = served({"cheap": 0.01, "dear": 0.04}, 500)
    assert 3.5 < count["cheap"] / count["dear"] < 4.5


def test_calls_longer_than_a_quantum_are_paid_back_by_waiting() -> None:
    count = served({"short": 0.1, "long": 1.0}, 550)
    assert 9 < count["short"] / count["long"] < 11


def test_who_was_away_has_saved_nothing_up() -> None:
    fairness = Fairness()
    busy, late = pending("a", "busy"), pending("b", "late")
    for _ in range(100):
        assert fairness.order([busy])[0] is busy
        fairness.charge("busy", 0.05)
    count = Counter[str]()
    for _ in range(100):
        first = fairness.order([busy, late])[0].running.ticket.client
        count[first] += 1
        fairness.charge(first, 0.05)
    assert count["late"] < 60


def test_interactive_goes_before_batch() -> None:
    calls = [pending("a", "one"), pending("b", "two", order=1, priority="interactive"), pending("c", "three", order=2)]
    assert [call.running.ticket.job for call in Fairness().order(calls)] == ["b"]


def test_small_goes_before_large_and_first_before_second() -> None:
    calls = [pending("large", "x", size=100_000), pending("second", "x", order=2, size=90), pending("first", "x", order=1, size=100)]
    assert [call.running.ticket.job for call in Fairness().order(calls)] == ["first", "second", "large"]


def test_a_small_job_preempts_a_large_one_at_its_next_step() -> None:
    undisturbed = Bench()
    undisturbed.run(("large", pictures(1, 2, size=32)))
    for turns in range(2, 14):
        bench = Bench()
        bench.start("large", pictures(1, 2, size=32), client="a")
        for _ in range(turns):
            bench.engine.turn()
        bench.start("small", steps(5), client="a")
        del bench.marks[:]
        while "small" in bench.engine.jobs:
            bench.engine.turn()
        assert "large" in bench.engine.jobs
        ran = [ids for ids in bench.marks if ids]
        first, last = ran.index(("small",)), len(ran) - ran[::-1].index(("small",))
        assert first <= 1  # the generator of the large job may take its reply in
        assert set(ran[first:last]) == {("small",)}
        bench.engine.run()
        assert all(torch.equal(*pair) for pair in zip(bench.value("large"), undisturbed.value("large"), strict=True))


def test_an_interactive_job_overtakes_a_batch_at_the_next_border() -> None:
    bench = Bench()
    bench.start("batch", pictures(1, 10), client="a")
    for _ in range(5):
        bench.engine.turn()
    bench.start("now", simple(99), client="b", priority="interactive")
    forwards = bench.engine.counters["forwards"]
    while "now" in bench.engine.jobs:
        bench.engine.turn()
    assert bench.engine.counters["forwards"] - forwards <= 8
    assert "batch" in bench.engine.jobs
    bench.engine.close()


def test_a_batch_that_becomes_interactive_overtakes() -> None:
    bench = Bench()
    bench.start("first", steps(50), client="a")
    bench.start("second", steps(10), client="a")
    for _ in range(5):
        bench.engine.turn()
    bench.engine.reprioritise("second", "interactive")
    bench.engine.run()
    assert order_of(bench) == ["second", "first"]


def test_jobs_of_one_client_end_in_order_and_of_two_side_by_side() -> None:
    one = Bench()
    one.run(("x", steps(30)), ("y", steps(30)), client="a")
    assert order_of(one) == ["x", "y"]
    ticks = iter(range(10_000))
    clocked = Bench(clock=lambda: next(ticks) * 0.05)
    clocked.start("long", steps(100), client="a")
    clocked.start("short", steps(5), client="b")
    clocked.engine.run()
    assert order_of(clocked) == ["short", "long"]


def render(count: int) -> Job:
    return (yield All(*(Apply(REF, "double", {"value": i}) for i in range(count))))


def test_one_render_does_not_wait_for_another_clients_hundred() -> None:
    bench = Bench(pool=threads())
    bench.start("hundred", render(100), client="a")
    bench.engine.turn()
    bench.start("one", render(1), client="b")
    bench.start("now", render(1), client="c", priority="interactive")
    bench.engine.run()
    assert order_of(bench) == ["now", "one", "hundred"]


def test_the_pool_is_never_overbooked() -> None:
    lock, running, most = threading.Lock(), [0], [0]

    def work() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1

    def job() -> Job:
        yield All(*(Host(work) for _ in range(12)))

    bench = Bench(pool=ThreadPoolExecutor(8))
    bench.run(("a", job()), ("b", job()))
    assert most[0] == 2
    assert bench.end("a").state == bench.end("b").state == "done"


def test_pictures_of_one_job_end_one_after_the_other_in_exact() -> None:
    bench = Bench()
    bench.run(("a", pictures(1, 3)))
    sigmas = [row[0] for row in bench.model.sigmas]
    assert sigmas == sorted(sigmas[:6], reverse=True) * 3
