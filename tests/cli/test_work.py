"""Ctrl-C while a job runs: the first cancels and waits, the second leaves. It is pressed at exact places, as no real signal can be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from gesso.cli import work
from gesso.client import Event, Job, Started
from gesso.errors import Cancelled


class Interrupted:
    """A job during which Ctrl-C is pressed ``presses`` times, each time while its events are waited for."""

    id = "abc123"

    def __init__(self, presses: int, *, in_cancel: bool = False) -> None:
        self.presses = presses
        self.in_cancel = in_cancel
        self.cancels = 0

    def __iter__(self) -> Iterator[Event]:
        yield Started(self.id, 1)
        if self.presses > 0:
            self.presses -= 1
            raise KeyboardInterrupt

    def cancel(self) -> None:
        self.cancels += 1
        if self.in_cancel:
            raise KeyboardInterrupt

    def result(self) -> str:
        if self.cancels:
            raise Cancelled("It was cancelled.")
        return "result"


def follow(job: Interrupted) -> Any:
    return work.follow(cast(Job, job), "generate", quiet=True)


def test_without_ctrl_c_the_result_comes_back() -> None:
    assert follow(Interrupted(0)) == "result"


def test_the_first_cancels_and_waits_for_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    job = Interrupted(1)
    with pytest.raises(Cancelled, match="It was cancelled"):
        follow(job)
    assert job.cancels == 1
    assert "press Ctrl-C again" in capsys.readouterr().err


@pytest.mark.parametrize("job", [Interrupted(2), Interrupted(1, in_cancel=True)], ids=["while waiting", "while asking"])
def test_the_second_leaves_and_names_the_job(job: Interrupted) -> None:
    with pytest.raises(Cancelled) as caught:
        follow(job)
    assert caught.value.exit_code == 130
    assert "abc123" in caught.value.message
    assert "gesso jobs show abc123" in (caught.value.hint or "")
