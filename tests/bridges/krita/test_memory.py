"""What is remembered of a job from one start of Krita to the next."""

from __future__ import annotations

from pathlib import Path

from gesso.wire.home import Home
from gesso_bridges.krita.memory import Memory


def test_a_job_keeps_what_its_parameters_do_not_tell(tmp_path: Path) -> None:
    home = Home(tmp_path / "config.toml", tmp_path, tmp_path, tmp_path, tmp_path)
    memo = {"document": "a", "box": [1, 2, 3, 4], "grow": False, "invert": True}
    Memory(home).keep("job", {**memo, "picture": "not worth keeping"})
    again = Memory(home)
    assert again.jobs == {"job": memo}
    again.forget("job")
    assert Memory(home).jobs == {}
