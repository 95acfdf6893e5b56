"""The blocking client against a front that says what the test wants."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gesso.client import Cancelled, Client, Done, Event, Failed, Log, Preview, Progress, Queued, Started
from gesso.errors import Cancelled as CancelledError
from gesso.errors import (
    GessoError,
    InvalidRequest,
    OutOfMemory,
    ProtocolError,
    UnknownJob,
    Unreachable,
)

from .fake_front import FakeFront
from .helpers import collect, until

pytestmark = pytest.mark.usefixtures("both_wires")


def test_a_job_gives_typed_events_and_its_images(front: FakeFront, client: Client, tmp_path: Path) -> None:
    job = client.submit("generate", prompt="moss", seed=7)
    assert job.params == {"prompt": "moss", "seed": 7}
    front.emit(job.id, "started", worker="w", attempt=1)
    front.emit(job.id, "progress", image=0, images=2, step=3, total=20, fraction=0.15, sigma=7.5, rate=2)
    front.emit(job.id, "preview", b"tiny", image=0, width=2, height=1, media_type="image/png")
    front.emit(job.id, "log", level="warning", message="Beware.")
    front.emit(job.id, "hologram", depth=3)
    front.finish(job.id, b"first image", b"second image")
    events = list(job)
    assert events[:-1] == [
        Queued(job.id, 1, 0),
        Started(job.id, 2, "w", 1),
        Progress(job.id, 3, 0, 2, 3, 20, 0.15, 7.5, 2),
        Preview(job.id, 4, 0, 2, 1, "image/png", b"tiny"),
        Log(job.id, 5, "warning", "Beware."),
    ]
    assert isinstance(events[-1], Done)
    assert job.ended
    result = job.result()
    assert [image.read() for image in result.images] == [b"first image", b"second image"]
    assert (result.warnings, result.level, result.seconds, result.model) == (("a warning",), "exact", 1.5, {"name": "m"})
    assert [image.seed for image in result.images] == [7, 8]
    assert result.images[0].save(tmp_path / "a.png").read_bytes() == b"first image"


def test_the_request_is_what_the_protocol_says(front: FakeFront, client: Client) -> None:
    client.submit("vary", {"n": 1, "watch": "a parameter"}, key="k", level="fast", priority="interactive", output="raw", watch=False)
    sent = dict(front.seen("submit")[0])
    sent.pop("id")
    assert sent == {
        "type": "submit", "operation": "vary", "params": {"n": 1, "watch": "a parameter"}, "key": "k", "level": "fast",
        "priority": "interactive", "output": "raw", "watch": False,
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [{"level": "best"}, {"priority": "high"}])
def test_a_wrong_option_is_refused_before_it_is_sent(front: FakeFront, client: Client, wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client.submit("generate", **wrong)  # type: ignore[arg-type]
    assert caught.value.field == next(iter(wrong))
    assert front.seen("submit") == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1}, "\ud800", "x" * 300_000, {"deep": [1e400]}])
def test_a_parameter_that_cannot_be_sent_is_named(front: FakeFront, client: Client, value: object) -> None:
    with pytest.raises(InvalidRequest, match="`guidance`") as caught:
        client.submit("generate", prompt="p", guidance=value)
    assert caught.value.field == "guidance"
    assert front.seen("submit") == []


def test_an_unwatched_job_says_so(front: FakeFront, client: Client) -> None:
    job = client.submit("generate", watch=False)
    with pytest.raises(GessoError, match="not watched"):
        list(job)
    with pytest.raises(GessoError, match="not watched"):
        job.result()
    front.finish(job.id, b"x")
    assert client.attach(job.id).result(10).images[0].read() == b"x"


def test_failures_are_raised_as_their_class(front: FakeFront, client: Client) -> None:
    job = client.submit("generate")
    front.emit(job.id, "failed", error={"code": "out_of_memory", "message": "Too big.", "field": "width", "hint": "Try 512."})
    end = list(job)[-1]
    assert isinstance(end, Failed)
    assert isinstance(end.error, OutOfMemory)
    with pytest.raises(OutOfMemory, match="Too big") as caught:
        job.result()
    assert (caught.value.field, caught.value.hint) == ("width", "Try 512.")


def test_cancel(front: FakeFront, client: Client) -> None:
    job = client.submit("generate")
    job.cancel()
    job.cancel()
    assert isinstance(list(job)[-1], Cancelled)
    with pytest.raises(CancelledError):
        job.result()


def test_a_refused_request_raises_with_its_field(front: FakeFront, client: Client) -> None:
    front.refuse["submit"] = {"code": "invalid", "message": "`steps` is at least 1.", "field": "steps"}
    with pytest.raises(InvalidRequest) as caught:
        client.submit("generate", steps=0)
    assert caught.value.field == "steps"
    with pytest.raises(UnknownJob):
        client.attach("nobody")
    client.ping()


def test_result_within_a_time(front: FakeFront, client: Client) -> None:
    job = client.submit("generate")
    with pytest.raises(TimeoutError, match="it goes on"):
        job.result(timeout=0.05)
    front.finish(job.id)
    assert job.result(timeout=10).images == ()


def test_detached_jobs_go_on_and_are_found_again(front: FakeFront, client: Client) -> None:
    job = client.submit("generate")
    assert isinstance(next(iter(job)), Queued)
    job.detach()
    with pytest.raises(GessoError, match="no longer followed"):
        list(job)
    front.emit(job.id, "started", worker="w", attempt=1)
    front.finish(job.id, b"picture")
    again = client.attach(job.id, from_=2)
    assert [event.seq for event in again] == [2, 3]
    assert again.result().images[0].read() == b"picture"


def test_two_readers_of_one_job_on_one_client(front: FakeFront, client: Client) -> None:
    first = client.submit("generate")
    front.emit(first.id, "progress", step=1)
    until(lambda: first._stream is not None and first._stream.seen == 2)
    second = client.attach(first.id)
    front.finish(first.id)
    assert [event.seq for event in first] == [1, 2, 3]
    assert [event.seq for event in second] == [2, 3]


def test_a_slow_reader_gets_the_newest_and_the_end(front: FakeFront, client: Client) -> None:
    job = client.submit("generate")
    for step in range(500):
        front.emit(job.id, "progress", image=step % 2, images=2, step=step)
        front.emit(job.id, "preview", bytes(1000), image=0, width=1, height=1, media_type="image/png")
    front.finish(job.id)
    until(lambda: job.ended)
    events = list(job)
    assert [type(event) for event in events] == [Queued, Progress, Progress, Preview, Done]
    assert [event.step for event in events if isinstance(event, Progress)] == [498, 499]


def test_a_lost_answer_leads_to_one_job(front: FakeFront, impatient: None) -> None:
    front.swallow["submit"] = 2
    with Client(start=False) as client:
        job = client.submit("generate", prompt="once")
        front.finish(job.id, b"one")
        assert job.result(10).images[0].read() == b"one"
    assert len(front.jobs) == 1
    assert len({header["id"] for header in front.seen("submit")}) == 1
    assert len(front.seen("submit")) >= 3


def test_a_silent_daemon_is_reported(front: FakeFront, impatient: None) -> None:
    front.swallow["status"] = 1000
    with Client(start=False) as client:
        request = client._core.link.request("status", {}, seconds=0.3)
        with pytest.raises(Unreachable, match="did not answer `status`"):
            request.answer.result(10)
        client.ping()


def test_a_lost_connection_loses_no_event(front: FakeFront, client: Client) -> None:
    job = client.submit("generate")
    events: list[Event] = []
    thread = collect(job, events)
    front.emit(job.id, "started", worker="w", attempt=1)
    until(lambda: len(events) == 2)
    front.stop(clean=False)
    front.emit(job.id, "progress", step=1)
    front.start()
    front.emit(job.id, "progress", step=2)
    front.restart()
    front.finish(job.id, b"picture")
    thread.join(20)
    assert [event.seq for event in events] in ([1, 2, 3, 4, 5], [1, 2, 4, 5])
    assert isinstance(events[-1], Done)
    assert front.seen("attach")[0]["from"] == 3
    assert job.result().images[0].read() == b"picture"
    assert client.status()["version"] == "0.1.0"


def test_a_stream_that_went_back_is_followed_all_the_same(front: FakeFront, client: Client) -> None:
    job = client.submit("generate")
    front.emit(job.id, "progress", step=1, seq=50)
    until(lambda: job._stream is not None and job._stream.seen == 50)
    front.stop(clean=False)
    del front.jobs[job.id].events[1:]
    front.start()
    until(lambda: len(front.seen("attach")) == 1)
    front.emit(job.id, "progress", step=2)
    front.finish(job.id)
    assert isinstance(list(job)[-1], Done)


def test_a_request_made_while_the_daemon_is_away_waits_for_it(front: FakeFront, client: Client) -> None:
    front.stop(clean=False)
    until(lambda: not client._core.link.connected)
    answers: list[dict[str, object]] = []
    thread = threading.Thread(target=lambda: answers.append(client.status()))
    thread.start()
    front.start()
    thread.join(20)
    assert answers[0]["version"] == "0.1.0"


def test_a_daemon_that_stays_away_ends_the_wait_and_not_the_job(front: FakeFront, impatient: None) -> None:
    with Client(start=False) as client:
        job = client.submit("generate")
        assert isinstance(next(iter(job)), Queued)
        front.stop()
        with pytest.raises(Unreachable, match="is kept"):
            list(job)
        with pytest.raises(Unreachable):
            client.ping()
        front.start()
        front.finish(job.id, b"late")
        assert client.attach(job.id).result(10).images[0].read() == b"late"


@pytest.mark.parametrize(
    "frames",
    [
        [b"gesso/1", b"not json", b""],
        [b"gesso/1"],
        [b"gesso/1", b'{"type": "progress", "job": "job0", "seq": "one"}', b""],
        [b"gesso/1", b'{"type": "error", "error": {"code": "protocol", "message": "Unreadable."}}', b""],
    ],
)
def test_a_daemon_that_breaks_the_protocol(front: FakeFront, client: Client, frames: list[bytes]) -> None:
    job = client.submit("generate")
    assert isinstance(next(iter(job)), Queued)
    front.say(frames)
    with pytest.raises(ProtocolError):
        list(job)
    client.ping()


def test_an_answer_of_the_wrong_type(front: FakeFront, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "on_ping", lambda *_: ({"type": "ok"}, b""))
    with pytest.raises(ProtocolError, match="`ping` with `ok`"):
        client.ping()


def test_many_threads_and_jobs_share_a_client(front: FakeFront, client: Client) -> None:
    results: dict[int, bytes] = {}

    def work(number: int) -> None:
        job = client.submit("generate", prompt=str(number))
        front.emit(job.id, "progress", step=number)
        front.finish(job.id, f"picture {number}".encode() * 1000)
        assert isinstance(list(job)[-1], Done)
        results[number] = job.result(20).images[0].read()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {n: f"picture {n}".encode() * 1000 for n in range(12)}


def test_a_result_that_cannot_be_read(front: FakeFront, client: Client) -> None:
    job = client.submit("generate")
    front.emit(job.id, "done", result={"images": [{"width": "wide"}]})
    with pytest.raises(ProtocolError, match="cannot be read"):
        job.result(10)


def test_describe_jobs_job_and_status(front: FakeFront, client: Client) -> None:
    assert client.describe() == {"operations": {"generate": {"title": "Generate"}}}
    job = client.submit("generate", prompt="p")
    assert client.jobs(limit=5, states=["running"]) == [{"job": job.id, "operation": "generate", "state": "running"}]
    assert client.job(job.id)["params"] == {"prompt": "p"}
    with pytest.raises(UnknownJob):
        client.job("nobody")
    assert set(client.status()) == {"pid", "version", "uptime", "queue"}
    assert client.welcome["principal"] == "owner"


def test_stop_waits_until_the_daemon_has_left(front: FakeFront, client: Client) -> None:
    client.stop()
    assert not front.home.daemon_file.exists()
    with pytest.raises(Unreachable, match="No daemon is running"):
        Client(start=False)


def test_a_closed_client_says_so(front: FakeFront) -> None:
    client = Client(start=False)
    job = client.submit("generate")
    client.close()
    client.close()
    for use in (client.ping, job.cancel, lambda: list(job), lambda: job.result(5)):
        with pytest.raises(Unreachable, match="closed"):
            use()
