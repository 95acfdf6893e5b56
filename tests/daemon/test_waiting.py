"""The order of the queue as laws: suspects alone, interactive first, clients in rotation, resident models for a while."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from gesso.daemon.waiting import PATIENCE, Waiting


@dataclass(eq=False)
class Job:
    """The least that can wait."""

    id: str
    client: str = "a"
    priority: str = "batch"
    suspect: int = 0
    model: str | None = "m"
    passed_over: int = 0
    paused: bool = False
    patient: bool = False

    @property
    def owner(self) -> tuple[str, str]:
        return "owner", self.client


def drain(queue: Waiting, resident: tuple[str, ...] = ()) -> list[str]:
    order = []
    while (job := queue.pop(resident, False)) is not None:
        order.append(job.id)
    return order


def filled(*jobs: Job) -> Waiting:
    queue = Waiting()
    for job in jobs:
        queue.push(job)
    return queue


def test_clients_take_turns_and_each_is_served_in_order() -> None:
    jobs = [Job(f"a{i}", "a") for i in range(4)] + [Job(f"b{i}", "b") for i in range(2)] + [Job("c0", "c")]
    assert drain(filled(*jobs)) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_interactive_goes_before_batch() -> None:
    assert drain(filled(Job("a0"), Job("b0", "b"), Job("x", priority="interactive"))) == ["x", "a0", "b0"]


def test_suspects_go_first_but_never_beside_others() -> None:
    queue = filled(Job("a0"), Job("s", suspect=1))
    assert queue.pop((), busy=True) is None
    suspect = queue.pop((), busy=False)
    assert suspect is not None
    assert suspect.id == "s"
    assert drain(queue) == ["a0"]


def test_a_resident_model_is_preferred_but_nobody_waits_for_ever() -> None:
    queue = filled(Job("cold", "a", model="other"), *[Job(f"warm{i}", f"b{i}", model="m") for i in range(7)])
    order = drain(queue, ("m",))
    assert order[0] == "warm0"
    assert order.index("cold") == PATIENCE


def test_a_job_given_back_comes_before_its_clients_others() -> None:
    queue = filled(Job("a1"), Job("a2"))
    queue.push(Job("a0"), front=True)
    assert drain(queue) == ["a0", "a1", "a2"]


def test_positions_and_counts() -> None:
    queue = Waiting()
    assert [queue.push(Job(f"a{i}")) for i in range(3)] == [1, 2, 3]
    assert queue.push(Job("b0", "b")) == 2
    assert queue.push(Job("x", "b", priority="interactive")) == 1
    assert queue.push(Job("a3")) == 6
    assert (len(queue), queue.count(("owner", "a")), queue.count(("owner", "b"))) == (6, 4, 2)


def test_what_is_pushed_is_popped_or_removed_exactly_once() -> None:
    chance = Random(1)
    for _ in range(50):
        jobs = [
            Job(
                str(i),
                chance.choice("abc"),
                chance.choice(["batch", "interactive"]),
                chance.choice([0, 0, 1]),
                chance.choice([None, "m", "n"]),
            )
            for i in range(30)
        ]
        queue = filled(*jobs)
        removed = {job.id for job in chance.sample(jobs, 10) if queue.remove(job)}
        assert len(removed) == 10
        assert not queue.remove(next(job for job in jobs if job.id in removed))
        assert set(drain(queue, ("m",))) | removed == {job.id for job in jobs}
        assert len(queue) == 0


def test_one_flooding_client_does_not_starve_fifty() -> None:
    queue = filled(*[Job(f"flood{i}", "flood") for i in range(1000)])
    for client in range(49):
        queue.push(Job(f"other{client}", f"c{client}"))
    order = drain(queue)
    assert max(order.index(f"other{client}") for client in range(49)) < 3 * 50


def test_a_paused_job_keeps_its_place_and_is_passed_by() -> None:
    jobs = [Job("a0"), Job("a1"), Job("b0", "b"), Job("s", suspect=1), Job("x", priority="interactive")]
    queue = filled(*jobs)
    for job in (jobs[0], jobs[3], jobs[4]):
        job.paused = True
    assert queue.pop((), False) is jobs[1]
    assert len(queue) == 4
    for job in jobs:
        job.paused = False
    assert drain(queue) == ["s", "x", "b0", "a0"]
    assert len(queue) == 0


def test_one_job_that_works_for_long_runs_at_a_time_and_holds_nobody_up() -> None:
    queue = filled(Job("long", patient=True), Job("longer", patient=True), Job("short"), Job("other", client="b", patient=True))
    first = queue.pop((), False)
    assert first is not None
    assert first.id == "long"
    while_long = [job.id for _ in range(2) if (job := queue.pop((), True, long=True)) is not None]
    assert while_long == ["short"]
    assert drain(queue) == ["other", "longer"]
