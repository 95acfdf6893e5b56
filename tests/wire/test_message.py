"""The codec: what goes in comes out, what is malformed is refused, cheaply."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesso.errors import GessoError, InvalidRequest, ProtocolError, TooLarge, UnknownType
from gesso.wire import message as wire

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(10**19), 10**19) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=30,
)


def raw(text: str | bytes) -> list[bytes]:
    return [wire.VERSION_FRAME, text.encode() if isinstance(text, str) else text, b""]


@given(st.dictionaries(TEXT, JSON, max_size=6), st.binary(max_size=100))
def test_round_trip(body: dict[str, Any], payload: bytes) -> None:
    header = {**body, "type": "ping"}
    message = wire.decode(wire.encode(header, payload))
    assert message.header == header
    assert message.payload == payload
    assert message.type == "ping"


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_frames_are_read_or_refused(frames: list[bytes]) -> None:
    with contextlib.suppress(ProtocolError):
        wire.decode(frames)


@settings(max_examples=300)
@given(st.text(st.sampled_from('{}[]":,\\ue0d8tfn1-.E " '), max_size=200))
def test_json_like_text_is_read_as_json_does_or_refused(text: str) -> None:
    try:
        found = wire.parse_header(text.encode())
    except ProtocolError:
        return
    assert found == json.loads(text)


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [wire.VERSION_FRAME, b"{}"],
        [*raw('{"type": "ping"}'), b""],
        [b"gesso/2", b'{"type": "ping"}', b""],
        raw(""),
        raw("null"),
        raw("[]"),
        raw('"type"'),
        raw("{}"),
        raw('{"type": null}'),
        raw('{"type": 7}'),
        raw('{"type": "ping"'),
        raw('{"type": "ping"} {}'),
        raw(b'{"type": "\xff"}'),
        raw(b'\xef\xbb\xbf{"type": "ping"}'),
        raw('{"type": "ping", "type": "stop"}'),
        raw('{"type": "ping", "a": {"b": 1, "b": 2}}'),
        raw('{"type": "ping", "a": NaN}'),
        raw('{"type": "ping", "a": -Infinity}'),
        raw('{"type": "ping", "a": 1e999}'),
        raw('{"type": "ping", "a": -1e999}'),
        raw('{"type": "ping", "a": ' + "9" * 21 + "}"),
        raw('{"type": "\\ud800"}'),
        raw("{'type': 'ping'}"),
    ],
)
def test_malformed_messages_are_refused(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError) as caught:
        wire.decode(frames)
    assert caught.value.message.endswith(".")
    json.dumps(caught.value.to_wire(), ensure_ascii=False).encode()


def nested(depth: int) -> str:
    return '{"type": "ping", "a": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def test_depth_is_bounded_on_both_ways() -> None:
    limit = wire.LIMITS["header_depth"]
    assert wire.decode(raw(nested(limit)))
    for depth in (limit + 1, 100_000):
        with pytest.raises(TooLarge):
            wire.decode(raw(nested(depth)))
    deep: list[Any] = []
    for _ in range(limit):
        deep = [deep]
    with pytest.raises(TooLarge):
        wire.encode({"type": "ping", "a": deep})
    deep.append(deep)
    with pytest.raises(ProtocolError):
        wire.encode({"type": "ping", "a": deep})


def test_brackets_inside_strings_do_not_nest() -> None:
    header = {"type": "ping", "a": "[" * 5000 + '"' + "{" * 5000 + "\\"}
    assert wire.decode(wire.encode(header)).header == header


@pytest.mark.parametrize("unit", ['"', '\\"', '"\\', "[", '["', '{"a":', "\\", "1", '"\\u0041'])
def test_a_hostile_header_of_full_size_costs_little(unit: str) -> None:
    text = ('{"type": "' + unit * wire.LIMITS["header_bytes"])[: wire.LIMITS["header_bytes"]]
    began = time.process_time()
    with pytest.raises(ProtocolError):
        wire.decode(raw(text))
    assert time.process_time() - began < 5


def test_sizes_are_bounded_on_both_ways() -> None:
    big = "x" * wire.LIMITS["header_bytes"]
    over = bytes(wire.LIMITS["payload_bytes"] + 1)
    for bad in (lambda: wire.encode({"type": big}), lambda: wire.decode(raw(json.dumps({"type": big})))):
        with pytest.raises(TooLarge):
            bad()
    for bad in (lambda: wire.encode({"type": "a"}, over), lambda: wire.decode([wire.VERSION_FRAME, b'{"type": "a"}', over])):
        with pytest.raises(TooLarge):
            bad()
    assert wire.decode(wire.encode({"type": "a"}, over[1:])).payload == over[1:]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1, 2}, object(), "\ud800"])
def test_what_json_cannot_say_is_not_encoded(value: object) -> None:
    with pytest.raises(ProtocolError):
        wire.encode({"type": "ping", "value": value})


def request(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": "1", **fields}


SUBMIT = {"key": "k", "operation": "generate", "params": {}}


@pytest.mark.parametrize(
    "header",
    [
        request("ping"),
        request("ping", unknown={"field": 1}),
        request("submit", **SUBMIT),
        request("submit", **SUBMIT, watch=False, level=None, priority="batch"),
        request("attach", job="j", **{"from": 3}),
        request("list"),
        request("blob.have", sha256=[]),
    ],
)
def test_requests_that_fit_the_table(header: dict[str, Any]) -> None:
    assert wire.check_request(header) is wire.REQUESTS[header["type"]]


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ({"type": "ping"}, "id"),
        ({"type": "ping", "id": ""}, "id"),
        ({"type": "ping", "id": 7}, "id"),
        ({"type": "ping", "id": "x" * 65}, "id"),
        (request("submit"), "key"),
        (request("submit", **{**SUBMIT, "params": []}), "params"),
        (request("submit", **{**SUBMIT, "params": None}), "params"),
        (request("submit", **SUBMIT, watch=1), "watch"),
        (request("attach", job="j", **{"from": True}), "from"),
        (request("attach", job="j", **{"from": 1.0}), "from"),
        (request("list", states="done"), "states"),
        (request("blob.part", upload="u"), "offset"),
    ],
)
def test_requests_that_do_not(header: dict[str, Any], field: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        wire.check_request(header)
    assert caught.value.field == field


def test_unknown_types_get_the_known_ones() -> None:
    with pytest.raises(UnknownType) as caught:
        wire.check_request(request("paint"))
    assert caught.value.details["known"] == sorted(wire.REQUESTS)


def test_only_parts_carry_a_payload() -> None:
    wire.check_request(request("blob.part", upload="u", offset=0), b"x")
    with pytest.raises(ProtocolError, match="no payload"):
        wire.check_request(request("ping"), b"x")


def test_answers_are_held_against_the_table() -> None:
    wire.check_answer({"type": "blob.ready", "done": True, "path": None})
    for header in ({"type": "blob.ready"}, {"type": "paint"}, {"type": "jobs", "jobs": [], "total": "2"}):
        with pytest.raises(ProtocolError):
            wire.check_answer(header)


def test_choices() -> None:
    assert wire.check_choice({"level": "fast"}, "level", wire.LEVELS, "exact") == "fast"
    assert wire.check_choice({"level": None}, "level", wire.LEVELS, "exact") == "exact"
    with pytest.raises(InvalidRequest, match="exact, fast") as caught:
        wire.check_choice({"level": "best"}, "level", wire.LEVELS, "exact")
    assert caught.value.field == "level"


def test_every_error_of_the_tree_survives_the_wire() -> None:
    from gesso.errors import by_code

    for kind in by_code().values():
        sent = kind("A sentence.", field="f", hint="h", details={"n": 1})
        got = GessoError.from_wire(wire.decode(wire.encode({"type": "error", "error": sent.to_wire()})).header["error"])
        assert (type(got), got.message, got.field, got.hint, got.details) == (kind, "A sentence.", "f", "h", {"n": 1})
