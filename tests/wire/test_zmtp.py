"""The ZMTP state machine, byte by byte: a table of faults, and the law that cuts in the stream change nothing."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesso.errors import GessoError, ProtocolError, TooLarge, Unauthorised, Unreachable
from gesso.wire.zmtp import (
    FAILED,
    LIBZMQ_ERROR,
    MAX_FRAMES,
    TRAFFIC,
    Connection,
    Event,
    Failed,
    Null,
    Pinged,
    Plain,
    Ponged,
    Ready,
    Received,
)

METADATA = b"\x0bSocket-Type\x00\x00\x00\x06ROUTER\x08Identity\x00\x00\x00\x00"


def greeting(mechanism: bytes = b"NULL", version: bytes = b"\x03\x01") -> bytes:
    return b"\xff" + bytes(8) + b"\x7f" + version + mechanism.ljust(20, b"\0") + bytes(32)


def frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return struct.pack(">BQ", flags | 2, len(body)) + body


def command(name: bytes, data: bytes = b"") -> bytes:
    return frame(bytes([len(name)]) + name + data, 4)


READY = command(b"READY", METADATA)


def connected(**options: int) -> Connection:
    connection = Connection(Null(), **options)
    events = connection.feed(greeting() + READY)
    assert events == [Ready({"socket-type": b"ROUTER", "identity": b""})]
    connection.take()
    return connection


def sent(connection: Connection) -> bytes:
    return b"".join(bytes(chunk) for chunk in connection.take())


def normal(events: list[Event]) -> list[object]:
    """Errors compare by class and words."""
    return [(type(event.error), event.error.message) if isinstance(event, Failed) else event for event in events]


def test_null_handshake() -> None:
    connection = Connection(Null())
    assert sent(connection) == greeting()
    assert connection.feed(greeting()) == []
    assert sent(connection) == command(b"READY", b"\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00")
    assert connection.feed(READY) == [Ready({"socket-type": b"ROUTER", "identity": b""})]
    assert connection.state == TRAFFIC


def test_plain_handshake() -> None:
    connection = Connection(Plain("user", "pass"))
    assert sent(connection) == greeting(b"PLAIN")
    connection.feed(greeting(b"PLAIN"))
    assert sent(connection) == command(b"HELLO", b"\x04user\x04pass")
    connection.feed(command(b"WELCOME"))
    assert sent(connection) == command(b"INITIATE", METADATA.replace(b"ROUTER", b"DEALER"))
    assert isinstance(connection.feed(READY)[0], Ready)


@pytest.mark.parametrize(
    ("mechanism", "stream", "error"),
    [
        (Null(), b"HTTP/1.1 400", ProtocolError),
        (Null(), b"\x01\x00", ProtocolError),
        (Null(), b"\xff" + bytes(8) + b"\x00", ProtocolError),
        (Null(), b"\xff" + bytes(8) + b"\x7f\x01\x05", ProtocolError),
        (Null(), b"\xff" + bytes(8) + b"\x7f\x00", ProtocolError),
        (Null(), greeting(b"PLAIN"), Unauthorised),
        (Plain("u", "p"), greeting(b"NULL"), Unauthorised),
        (Null(), greeting(b"CURVE"), Unauthorised),
        (Null(), greeting() + command(b"ERROR", b"\x03400"), Unauthorised),
        (Null(), greeting() + command(b"ERROR"), Unauthorised),
        (Plain("u", "p"), greeting(b"PLAIN") + frame(LIBZMQ_ERROR + b"\x03400", 4), Unauthorised),
        (Null(), greeting() + command(b"WELCOME"), ProtocolError),
        (Null(), greeting() + command(b"PING", b"\0\0"), ProtocolError),
        (Plain("u", "p"), greeting(b"PLAIN") + READY, ProtocolError),
        (Plain("u", "p"), greeting(b"PLAIN") + command(b"WELCOME") * 2, ProtocolError),
        (Null(), greeting() + frame(b"message"), ProtocolError),
        (Null(), greeting() + frame(b"", 4), ProtocolError),
        (Null(), greeting() + frame(b"\x20READY", 4), ProtocolError),
        (Null(), greeting() + command(b"READY", METADATA.replace(b"ROUTER", b"PUBSUB")), ProtocolError),
        (Null(), greeting() + command(b"READY"), ProtocolError),
        (Null(), greeting() + command(b"READY", METADATA[:-1]), ProtocolError),
        (Null(), greeting() + command(b"READY", b"\x00\x00\x00\x00\x00"), ProtocolError),
        (Null(), greeting() + command(b"READY", b"\xff"), ProtocolError),
        (Null(), greeting() + struct.pack(">BQ", 6, 1 << 40), TooLarge),
        (Null(), greeting() + READY + struct.pack(">BQ", 2, 1 << 63), TooLarge),
        (Null(), greeting() + READY + struct.pack(">BQ", 2, (2 << 20) + 1), TooLarge),
        (Null(), greeting() + READY + b"\x08\x00", ProtocolError),
        (Null(), greeting() + READY + b"\x05\x00", ProtocolError),
        (Null(), greeting() + READY + b"\x80\x00", ProtocolError),
        (Null(), greeting() + READY + command(b"PING", b"\0"), ProtocolError),
        (Null(), greeting() + READY + command(b"PING", bytes(19)), ProtocolError),
        (Null(), greeting() + READY + command(b"ERROR", b"\x01x"), Unreachable),
        (Null(), greeting() + READY + frame(b"", 1) * (MAX_FRAMES + 1), TooLarge),
        (Null(), greeting() + READY + frame(bytes(2 << 20), 1) * 3, TooLarge),
    ],
)
def test_faults_end_the_connection_with_a_sentence(mechanism: Null | Plain, stream: bytes, error: type[GessoError]) -> None:
    connection = Connection(mechanism)
    events = connection.feed(stream)
    assert isinstance(events[-1], Failed)
    assert type(events[-1].error) is error
    assert events[-1].error.message.endswith(".")
    assert connection.state == FAILED
    assert connection.feed(READY) == connection.end() == []


@pytest.mark.parametrize(
    ("stream", "error", "words"),
    [
        (b"", Unreachable, "before it said a word"),
        (greeting()[:30], Unreachable, "before"),
        (greeting(), Unauthorised, "in the handshake"),
        (greeting() + READY, Unreachable, "closed the connection."),
        (greeting() + READY + b"\x00\x05abc", Unreachable, "middle of a message"),
        (greeting() + READY + frame(b"part", 1), Unreachable, "middle of a message"),
    ],
)
def test_an_early_end(stream: bytes, error: type[GessoError], words: str) -> None:
    connection = Connection(Null())
    connection.feed(stream)
    (event,) = connection.end()
    assert isinstance(event, Failed)
    assert type(event.error) is error
    assert words in event.error.message


def test_messages_are_framed_as_the_rfc_says() -> None:
    connection = connected()
    connection.send([b"", b"a" * 255, b"b" * 256])
    assert sent(connection) == b"\x01\x00" + b"\x01\xff" + b"a" * 255 + b"\x02" + struct.pack(">Q", 256) + b"b" * 256
    with pytest.raises(TooLarge):
        connection.send([bytes((2 << 20) + 1)])
    with pytest.raises(ProtocolError):
        connection.send([])
    with pytest.raises(ProtocolError):
        Connection(Null()).send([b"too early"])
    assert sent(connection) == b""


def test_pings_are_answered_with_their_context() -> None:
    connection = connected()
    context = bytes(range(16))
    assert connection.feed(command(b"PING", struct.pack(">H", 150) + context)) == [Pinged(15.0)]
    assert sent(connection) == command(b"PONG", context)
    connection.ping(20.0, b"ctx")
    assert sent(connection) == command(b"PING", struct.pack(">H", 200) + b"ctx")
    assert connection.feed(command(b"PONG", b"ctx")) == [Ponged(b"ctx")]


def test_commands_that_a_dealer_has_no_use_for_are_passed_over() -> None:
    connection = connected()
    stream = frame(b"one", 1) + command(b"SUBSCRIBE", b"topic") + command(b"CANCEL", b"topic") + command(b"FUTURE") + frame(b"two")
    assert connection.feed(stream) == [Received((b"one", b"two"))]


def test_long_credentials_are_refused() -> None:
    connection = Connection(Plain("u" * 256, "p"))
    (event,) = connection.feed(greeting(b"PLAIN"))
    assert isinstance(event, Failed)
    assert isinstance(event.error, ProtocolError)


def test_a_small_limit_holds_for_both_ways() -> None:
    connection = connected(max_frame=100)
    with pytest.raises(TooLarge):
        connection.send([bytes(101)])
    (event,) = connection.feed(frame(bytes(101)))
    assert isinstance(event, Failed)


def feed_in_pieces(stream: bytes, cuts: list[int], mechanism: Null | Plain) -> tuple[list[object], bytes]:
    connection = Connection(mechanism)
    events: list[Event] = []
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        events += connection.feed(stream[start:end])
    return normal(events), sent(connection)


FRAMES = st.tuples(st.binary(max_size=400), st.sampled_from([0, 1])).map(lambda f: frame(*f))
COMMANDS = st.tuples(st.sampled_from([b"PING", b"PONG", b"SUBSCRIBE", b"ERROR"]), st.binary(max_size=20)).map(lambda c: command(*c))
TRAFFICS = st.lists(FRAMES | COMMANDS | st.binary(max_size=6), max_size=8).map(b"".join)
STREAMS = st.one_of(
    TRAFFICS.map(lambda tail: greeting() + READY + tail),
    st.tuples(st.binary(max_size=90), st.integers(0, 63)).map(lambda t: greeting()[: t[1]] + t[0]),
    st.binary(max_size=100).map(lambda tail: greeting() + tail),
)


@settings(max_examples=400)
@given(STREAMS, st.lists(st.integers(0, 2000), max_size=12))
def test_cuts_in_the_stream_change_nothing(stream: bytes, cuts: list[int]) -> None:
    whole = feed_in_pieces(stream, [], Null())
    assert feed_in_pieces(stream, cuts, Null()) == whole
    assert feed_in_pieces(stream, list(range(len(stream))), Null()) == whole


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_garbage_never_raises(stream: bytes) -> None:
    for mechanism in (Null(), Plain("u", "p")):
        connection = Connection(mechanism)
        connection.feed(greeting(b"NULL" if mechanism == Null() else b"PLAIN"))
        connection.feed(stream)
        connection.end()
        assert connection.state == FAILED


@given(st.lists(st.lists(st.binary(max_size=600), min_size=1, max_size=5), max_size=5), st.lists(st.integers(0, 5000), max_size=8))
def test_what_one_side_sends_the_other_receives(messages: list[list[bytes]], cuts: list[int]) -> None:
    sender = connected()
    for frames in messages:
        sender.send(frames)
    events, _ = feed_in_pieces(greeting() + READY + sent(sender), cuts, Null())
    assert events[1:] == [Received(tuple(frames)) for frames in messages]
