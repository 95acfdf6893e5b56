"""The session and the stream as state machines: no socket, no thread, no clock."""

from __future__ import annotations

from typing import Any

import pytest

from gesso.client.events import Cancelled, Done, Event, Log, Preview, Progress, Queued
from gesso.client.session import AGAIN_SECONDS, RESEND_SECONDS, Session
from gesso.client.stream import LONGEST, Reader, Stream
from gesso.errors import Busy, GessoError, ProtocolError, UnknownJob, Unreachable
from gesso.wire.message import Message, decode


def message(kind: str, **fields: Any) -> Message:
    return Message({"type": kind, **fields})


def drain(reader: Reader) -> list[Event]:
    return list(iter(reader.take, None))


def submitted(session: Session, job: str = "j", **fields: Any) -> Any:
    request = session.request("submit", {"key": "k", "operation": "o", "params": {}, **fields}, b"", now=0.0)
    session.feed(message("accepted", re=request.header["id"], job=job, state="accepted", seq=0, params={}, duplicate=False))
    return request


def test_the_frames_of_a_request_carry_its_fields_and_no_nulls() -> None:
    request = Session().request("attach", {"job": "j", "from": None}, b"", now=0.0)
    assert decode(request.frames).header == {"type": "attach", "id": request.header["id"], "job": "j"}


def test_answers_find_their_requests_in_any_order_and_once() -> None:
    session = Session()
    first, second = (session.request("ping", {}, b"", now=0.0) for _ in range(2))
    session.feed(message("pong", re=second.header["id"]))
    assert (first.answer.done(), second.answer.done()) == (False, True)
    session.feed(message("pong", re=first.header["id"]))
    session.feed(message("pong", re=first.header["id"]))
    session.feed(message("pong", re="nobody's"))
    assert first.answer.result().type == "pong"
    assert not session.needed


@pytest.mark.parametrize(
    "answer",
    [{"type": "ok"}, {"type": "welcome"}, {"type": "nonsense"}, {"type": "error"}, {"type": "accepted", "job": 7}, {"type": "accepted"}],
)
def test_answers_that_break_the_protocol(answer: dict[str, Any]) -> None:
    session = Session()
    request = session.request("submit", {}, b"", now=0.0)
    with pytest.raises(ProtocolError):
        session.feed(Message({**answer, "re": request.header["id"]}))
    assert isinstance(request.answer.exception(), ProtocolError)


def test_errors_are_the_answer_of_their_request() -> None:
    session = Session()
    request = session.request("submit", {}, b"", now=0.0)
    error = {"code": "busy", "message": "Full.", "details": {"retry_after": 2}}
    session.feed(message("error", re=request.header["id"], error=error))
    fault = request.answer.exception()
    assert isinstance(fault, Busy)
    assert fault.details == {"retry_after": 2}
    with pytest.raises(ProtocolError):
        session.feed(message("error", error={"code": "protocol", "message": "Unreadable."}))


def test_silence_sends_again_and_the_deadline_ends_it() -> None:
    session = Session()
    request = session.request("status", {}, b"", now=0.0, seconds=12.0)
    part = session.request("blob.part", {"upload": "u", "offset": 0}, b"x", now=0.0, seconds=20.0)
    assert session.due(RESEND_SECONDS - 0.1) == []
    assert session.due(RESEND_SECONDS) == [request.frames]
    assert session.due(RESEND_SECONDS + 0.1) == []
    assert session.due(2 * RESEND_SECONDS) == [request.frames]
    assert session.due(12.0) == []
    assert isinstance(request.answer.exception(), Unreachable)
    assert not part.answer.done()


def test_a_lost_connection_sends_again_what_may_be_sent_twice() -> None:
    session = Session()
    status = session.request("status", {}, b"", now=0.0)
    part = session.request("blob.part", {"upload": "u", "offset": 0}, b"x", now=0.0)
    stop = session.request("stop", {}, b"", now=0.0)
    session.lost()
    assert isinstance(part.answer.exception(), Unreachable)
    assert isinstance(stop.answer.exception(), Unreachable)
    assert session.opened(1.0) == [status.frames]


def test_a_new_connection_attaches_once_from_the_last_number_plus_one() -> None:
    session = Session()
    stream = submitted(session).stream
    session.feed(message("queued", job="j", seq=1, position=0))
    session.feed(message("progress", job="j", seq=7, step=3))
    for _ in range(2):
        session.lost()
        (frames,) = session.opened(1.0)
        header = decode(frames).header
        assert (header["type"], header["job"], header["from"]) == ("attach", "j", 8)
    snapshot = {"progress": {"type": "progress", "job": "j", "seq": 7, "step": 3}, "terminal": None}
    session.feed(message("attached", re=header["id"], job="j", state="running", seq=7, snapshot=snapshot))
    session.feed(message("progress", job="j", seq=7, step=3))
    session.feed(message("done", job="j", seq=9, result={}))
    assert [event.seq for event in drain(stream.reader())] == [1, 7, 9]
    assert not session.needed


def test_our_own_attachments_ask_for_nothing_while_the_daemon_is_away() -> None:
    session = Session()
    submitted(session)
    session.lost()
    session.opened(1.0)
    states = [session.asking]
    session.lost()
    states += [session.asking, session.needed]
    assert states == [True, False, True]


def test_an_end_that_passed_meanwhile_is_taken_from_the_snapshot() -> None:
    session = Session()
    stream = submitted(session).stream
    session.feed(message("progress", job="j", seq=9, step=3))
    session.lost()
    header = decode(session.opened(1.0)[0]).header
    snapshot = {"progress": None, "terminal": {"type": "cancelled", "job": "j", "seq": 4}}
    session.feed(message("attached", re=header["id"], job="j", state="cancelled", seq=4, snapshot=snapshot))
    assert stream.ended.result() == Cancelled("j", 4)


@pytest.mark.parametrize("name", ["progress", "terminal"])
def test_a_snapshot_that_holds_no_event(name: str) -> None:
    session = Session()
    request = session.request("attach", {"job": "j"}, b"", now=0.0)
    with pytest.raises(ProtocolError, match="no event"):
        session.feed(message("attached", re=request.header["id"], job="j", state="running", seq=1, snapshot={name: {"type": "hologram"}}))
    assert isinstance(request.answer.exception(), ProtocolError)
    assert not session.needed


def test_a_request_has_time_again_after_a_long_absence() -> None:
    session = Session()
    request = session.request("submit", {}, b"", now=0.0, seconds=30.0)
    session.lost()
    session.opened(29.9)
    assert session.due(30.0) == []
    assert not request.answer.done()
    session.due(29.9 + AGAIN_SECONDS)
    assert isinstance(request.answer.exception(), Unreachable)


def test_a_job_that_is_gone_after_a_reconnect_ends_its_stream() -> None:
    session = Session()
    stream = submitted(session).stream
    session.lost()
    header = decode(session.opened(1.0)[0]).header
    session.feed(message("error", re=header["id"], error={"code": "unknown_job", "message": "Gone."}))
    assert isinstance(stream.ended.exception(), UnknownJob)
    assert not session.needed


def test_a_stream_that_was_let_go_is_not_opened_again_by_a_late_answer() -> None:
    session = Session()
    stream = submitted(session).stream
    session.lost()
    header = decode(session.opened(1.0)[0]).header
    session.drop_stream("j")
    session.feed(message("attached", re=header["id"], job="j", state="running", seq=0, snapshot={}))
    assert isinstance(stream.ended.exception(), GessoError)
    assert not session.needed


def test_giving_up_fails_everything() -> None:
    session = Session()
    stream = submitted(session).stream
    request = session.request("ping", {}, b"", now=0.0)
    session.give_up(Unreachable("Gone."))
    assert isinstance(stream.ended.exception(), Unreachable)
    assert isinstance(request.answer.exception(), Unreachable)
    assert not session.needed


def test_unwatched_jobs_and_strangers_events_open_no_stream() -> None:
    session = Session()
    assert submitted(session, watch=False).stream is None
    session.feed(message("progress", job="j", seq=1))
    session.feed(message("hologram", job="j", seq=2))
    assert not session.needed


@pytest.mark.parametrize(
    "event",
    [
        {"type": "queued", "seq": 1},
        {"type": "queued", "job": "j"},
        {"type": "queued", "job": "j", "seq": True},
        {"type": "queued", "job": "j", "seq": 1, "position": "first"},
        {"type": "failed", "job": "j", "seq": 1, "error": "text"},
        {"type": "done", "job": "j", "seq": 1, "result": []},
    ],
)
def test_malformed_events(event: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        Session().feed(Message(event))


def test_null_fields_take_their_defaults() -> None:
    stream = submitted(session := Session()).stream
    session.feed(message("progress", job="j", seq=1, step=4, total=None, sigma=None, rate=None, fraction=None))
    assert drain(stream.reader()) == [Progress("j", 1, step=4)]


def test_a_reader_keeps_the_newest_of_each_image_and_a_bounded_rest() -> None:
    reader = Reader()
    reader.put(Queued("j", 1))
    for seq in range(2, 50):
        reader.put(Progress("j", seq, image=seq % 3))
        reader.put(Preview("j", seq, image=0))
    held = drain(reader)
    assert [type(event).__name__ for event in held].count("Preview") == 1
    assert [event.seq for event in held] == [1, 47, 48, 49, 49]
    for seq in range(2 * LONGEST):
        reader.put(Log("j", seq))
    assert [event.seq for event in drain(reader)] == list(range(LONGEST, 2 * LONGEST))


def test_after_the_end_nothing_more_is_taken() -> None:
    stream = Stream("j")
    stream.take(Done("j", 3))
    stream.take(Log("j", 4, message="late"))
    stream.take(Cancelled("j", 5))
    stream.fail(Unreachable("late"))
    assert drain(stream.reader()) == [Done("j", 3)]
    assert drain(stream.reader()) == [Done("j", 3)]
    assert stream.ended.result() == Done("j", 3)
