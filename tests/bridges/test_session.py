"""The session of a host: states and their fixes, jobs, cancelling, a daemon that goes and comes back. Nothing here blocks the caller."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gesso.client import Client
from gesso.errors import UnknownJob
from gesso.wire import discovery
from gesso.wire.home import Home
from gesso_bridges.panel import history, report, steps
from gesso_bridges.panel.session import Options, Session
from gesso_bridges.panel.state import FIXES

from ..client.fake_front import FakeFront
from .helpers import until


@pytest.fixture
def front(home: Path) -> Iterator[FakeFront]:
    front = FakeFront(Home.find(home))
    yield front
    front.close()


@pytest.fixture
def session(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr("gesso_bridges.panel.session.GLANCE_SECONDS", 0.1)
    session = Session("test", start=False)
    yield session
    session.close()


def test_one_call_takes_no_time_and_the_job_comes_to_its_end(front: FakeFront, session: Session) -> None:
    began = time.monotonic()
    task = session.submit("generate", {"prompt": "moss", "image": b"picture"}, place="Cube")
    assert time.monotonic() - began < 1
    assert (task.state, task.memo) == ("sending", {"place": "Cube"})
    until(session, lambda: task.job)
    assert session.state.connected
    front.emit("job0", "started", worker="w", attempt=1)
    front.emit("job0", "progress", image=0, images=1, step=3, total=10, fraction=0.3)
    front.emit("job0", "preview", b"tiny", image=0, width=4, height=4, media_type="image/webp")
    until(session, lambda: task.preview)
    assert (task.state, task.words, task.params["seed"]) == ("running", "step 3 of 10, 30%", 99)
    front.finish("job0", b"\x89PNG one")
    until(session, lambda: task.ended)
    assert task.state == "done"
    assert task.result is not None
    assert task.result.images[0].read() == b"\x89PNG one"
    assert task.notices == ("a warning",)
    sent = front.seen("submit")[0]
    assert (sent["level"], sent["priority"], sent["operation"]) == ("fast", "interactive", "generate")
    assert front.blobs[sent["params"]["image"]["sha256"]] == b"picture"


def test_nothing_changes_but_in_poll(front: FakeFront, session: Session) -> None:
    task = session.submit("generate", {"prompt": "moss"})
    deadline = time.monotonic() + 20
    while not front.seen("submit"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    assert (task.state, task.job, session.state.name) == ("sending", None, "unknown")
    until(session, lambda: task.job == "job0")


def test_a_cancelled_job_was_cancelled_at_the_daemon_even_before_it_was_accepted(front: FakeFront, session: Session) -> None:
    tasks = [session.submit("generate", {"prompt": "moss"}) for _ in range(3)]
    session.cancel(tasks[0])
    until(session, lambda: tasks[1].job)
    session.cancel(tasks[1])
    until(session, lambda: tasks[0].ended and tasks[1].ended)
    assert [task.state for task in tasks] == ["cancelled", "cancelled", "queued"]
    assert {header["job"] for header in front.seen("cancel")} == {tasks[0].job, tasks[1].job}


def test_a_refusal_ends_the_task_with_its_code(front: FakeFront, session: Session) -> None:
    front.refuse["submit"] = {"code": "invalid", "message": "Width is wrong.", "field": "width"}
    task = session.submit("generate", {"prompt": "moss"})
    until(session, lambda: task.ended)
    assert task.error is not None
    assert (task.state, task.error.code, task.error.field, task.words) == ("failed", "invalid", "width", "Width is wrong.")
    assert "Width is wrong. [invalid]" in report.report(session, {"host": "1.0"})


def test_no_daemon_is_said_plainly_with_its_fix(session: Session, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session.connect()
    until(session, lambda: session.state.name == "stopped")
    assert session.state.fix == "start"
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.setattr("sys.executable", str(home / "blender"))
    session.connect()
    until(session, lambda: session.state.name == "absent")
    assert session.state.fix == "locate"
    assert "not installed" in session.state.sentence
    assert "pip install gesso" in session.state.hint
    assert set(FIXES) == {"start", "again", "restart", "locate"}


def test_another_version_is_said_plainly(home: Path, session: Session) -> None:
    front = FakeFront(Home.find(home), version=2)
    session.connect()
    until(session, lambda: session.state.name == "other_version")
    assert (session.state.fix, session.state.code) == ("restart", "version_mismatch")
    assert "another version of the protocol" in session.state.sentence
    front.close()


def test_a_daemon_that_goes_and_comes_back_is_followed_again(front: FakeFront, session: Session) -> None:
    task = session.submit("generate", {"prompt": "moss"})
    until(session, lambda: task.job)
    front.stop(clean=False)
    until(session, lambda: session.state.name == "lost" and task.state == "waiting")
    assert session.state.fix == "start"
    front.start()
    until(session, lambda: session.state.connected)
    front.finish("job0", b"\x89PNG late")
    until(session, lambda: task.ended)
    assert task.state == "done"
    assert front.seen("attach")


def test_pictures_are_made_and_taken_apart_away_from_the_hosts_thread(front: FakeFront, home: Path) -> None:
    """A function among the parameters, and `digest`, run on the job's own thread; a small question is answered in `poll`."""
    threads: list[str] = []

    def noted(what: bytes) -> bytes:
        threads.append(threading.current_thread().name)
        return what

    session = Session("test", start=False, digest=lambda result: noted(result.images[0].read()[-3:]))
    try:
        task = session.submit("generate", {"prompt": "moss", "image": lambda: noted(b"picture")})
        until(session, lambda: task.job)
        front.finish("job0", b"\x89PNG one")
        until(session, lambda: task.ended)
        answers: list[Any] = []
        session.ask(lambda client: client.job("job0")["job"], answers.append)
        session.ask(lambda client: client.job("nothing"), answers.append)
        until(session, lambda: len(answers) == 2)
    finally:
        session.close()
    assert task.digest == b"one"
    assert threads == ["gesso-job-1", "gesso-job-1"]
    assert front.blobs[front.seen("submit")[0]["params"]["image"]["sha256"]] == b"picture"
    assert answers[0] == "job0"
    assert isinstance(answers[1], UnknownJob)


def test_a_job_of_an_earlier_session_is_taken_up(front: FakeFront, session: Session, home: Path) -> None:
    with Client(start=False) as client:
        job = client.submit("generate", prompt="moss")
        front.finish(job.id, b"\x89PNG early")
    task = session.attach(job.id, "generate", place="Cube")
    session.connect()
    until(session, lambda: task.ended)
    assert task.result is not None
    assert task.result.images[0].read() == b"\x89PNG early"
    assert task.params["prompt"] == "moss"


def test_first_steps_follow_what_there_is(front: FakeFront, session: Session) -> None:
    assert [step.done for step in steps.first_steps(session)] == [False, False, False]
    session.connect()
    until(session, lambda: session.state.connected)
    daemon, model, picture = steps.first_steps(session)
    assert (daemon.done, model.done, model.sentence) == (True, False, "It has no model: gesso models add FOLDER")
    assert picture.fix is None


def test_history_is_kept_newest_first_and_each_once(home: Path) -> None:
    first = history.History("test", Home.find(home))
    for prompt in ("moss", "brick", " moss ", ""):
        first.add(prompt)
    again = history.History("test", Home.find(home))
    assert again.prompts == ["moss", "brick"]
    path = Home.find(home).state / "bridges/test-prompts.json"
    assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
    path.write_text("{broken")
    assert history.History("test", Home.find(home)).prompts == []
    again.add("moss")
    again.clear()
    assert not path.exists()
    assert history.History("test", Home.find(home)).prompts == []


def test_a_real_daemon_is_started_crashes_and_finishes_the_job(home: Path) -> None:
    session = Session("test")
    made = session.submit("texture", {"prompt": "red brick", "width": 64, "height": 64, "seed": 3}, Options(level="exact"))
    until(session, lambda: made.ended)
    assert made.state == "done", made.error
    assert made.result is not None
    assert [image.role for image in made.result.images][:2] == ["base_color", "height"]
    assert "procedural" in steps.first_steps(session)[1].sentence
    assert all(step.done for step in steps.first_steps(session))
    session.suspend()
    until(session, lambda: session.suspended)
    waiting = session.submit("texture", {"prompt": "red brick", "width": 64, "height": 64, "seed": 3}, Options(level="exact"))
    until(session, lambda: waiting.job)
    info = discovery.read(Home.find(home))
    assert info is not None
    os.kill(info.pid, signal.SIGKILL)
    until(session, lambda: waiting.ended, 90)
    assert waiting.state == "done", waiting.error
    assert waiting.result is not None
    assert [image.sha256 for image in waiting.result.images] == [image.sha256 for image in made.result.images]
    session.close()
    with Client(start=False) as client:
        client.stop()
