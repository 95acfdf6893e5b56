"""What is remembered of a job from one start of Krita to the next."""

from __future__ import annotations

from pathlib import Path

from gesso.wire.home import Home
from gesso_bridges.krita.memory import LISTED, LONGEST, Memory, listed


def test_a_job_keeps_what_its_parameters_do_not_tell(tmp_path: Path) -> None:
    home = Home(tmp_path / "config.toml", tmp_path, tmp_path, tmp_path, tmp_path)
    memo = {"document": "a", "box": [1, 2, 3, 4], "grow": False, "invert": True}
    Memory(home).keep("job", {**memo, "picture": "not worth keeping"})
    again = Memory(home)
    assert again.jobs == {"job": memo}
    again.forget("job")
    assert Memory(home).jobs == {}


def test_a_favourite_is_remembered_however_many_come_after_it(tmp_path: Path) -> None:
    memory = Memory(Home(tmp_path / "config.toml", tmp_path, tmp_path, tmp_path, tmp_path))
    memory.keep("loved", {"name": "moss", "favourite": True})
    for number in range(LONGEST + 3):
        memory.keep(f"job {number}", {"name": "brick"})
    assert list(memory.jobs)[:2] == ["loved", "job 3"]
    assert len(memory.jobs) == LONGEST + 1


def test_the_newest_of_a_program_are_listed_and_every_favourite() -> None:
    own = [{"job": number, "client": "krita", "pinned": number == LISTED + 7} for number in range(LISTED + 10)]
    others = [{"job": -1 - number, "client": "blender", "pinned": True} for number in range(2 * LISTED)]
    assert [job["job"] for job in listed([*others, *own], "krita")] == [*range(LISTED), LISTED + 7]
