"""`docs/protocol.md` and the code say the same: every type, field, limit, state and error code."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

import gesso
from gesso.client import events
from gesso.client.session import ONCE
from gesso.errors import by_code
from gesso.wire import message as wire
from gesso.wire.discovery import DaemonInfo

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "protocol.md").read_text()
_NAME = r"`([a-z0-9_.]+)`"


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the section's first table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(cell: str) -> dict[str, bool]:
    """The fields that a cell names up to its payload: name -> whether it may be left out."""
    return {name: bool(bracket) for bracket, name in re.findall(rf"(\[?){_NAME}", cell.split("; payload", maxsplit=1)[0])}


def test_the_tables_are_found() -> None:
    assert len(rows("Requests")) == 22
    assert len(rows("Answers")) == 14
    assert len(rows("Events")) == 8
    assert len(rows("Limits")) == 7


def test_requests() -> None:
    documented = {row[0].strip("`"): (names(row[1]), "payload" in row[1], row[2].strip("`")) for row in rows("Requests")}
    coded = {
        name: ({field: spec.optional for field, spec in kind.fields.items()}, kind.payload, kind.answer)
        for name, kind in wire.REQUESTS.items()
    }
    assert documented == coded
    assert {kind.answer for kind in wire.REQUESTS.values()} | {"error"} == set(wire.ANSWERS)


@pytest.mark.parametrize(
    ("kind", "field", "word"), [("hello", "protocol", "list"), ("list", "states", "list"), ("blob.have", "sha256", "list")]
)
def test_lists_are_lists(kind: str, field: str, word: str) -> None:
    row = next(row for row in rows("Requests") if row[0] == f"`{kind}`")
    assert re.search(rf"`{field}`\]? \({word}", row[1])
    assert wire.REQUESTS[kind].fields[field].kind == wire.LIST


def test_answers() -> None:
    documented = {row[0].strip("`"): names(row[1]) for row in rows("Answers")}
    coded = {name: {field: spec.optional for field, spec in fields.items()} for name, fields in wire.ANSWERS.items()}
    assert documented == coded


def test_events() -> None:
    documented = {row[0].strip("`"): tuple(names(row[1])) for row in rows("Events")}
    assert documented == dict(wire.EVENTS)
    assert {row[0].strip("`") for row in rows("Events") if row[2] == "terminal"} == set(wire.TERMINAL)


def test_the_client_s_event_classes_have_the_events_fields() -> None:
    for name, fields in wire.EVENTS.items():
        kind = getattr(events, name.capitalize())
        coded = [field.name for field in dataclasses.fields(kind) if field.name != "data"]
        assert coded == list(fields), name
        assert (kind in events.TERMINAL) == (name in wire.TERMINAL)


def test_limits() -> None:
    assert {row[0].strip("`"): int(row[1]) for row in rows("Limits")} == dict(wire.LIMITS)
    assert f"{wire.LIMITS['header_bytes'] // 1024} KiB" in TEXT
    assert f"{wire.LIMITS['header_depth']} levels" in TEXT
    assert f"at most {wire.LIMITS['payload_bytes'] // 2**20} MiB" in TEXT
    assert f"over {wire.LIMITS['frame_bytes'] // 2**20} MiB" in TEXT
    assert f"1..{wire.ID_LENGTH} characters" in TEXT
    assert f"more than {wire.INTEGER_DIGITS} digits" in TEXT


def test_states() -> None:
    line = next(line for line in section("States of a job").splitlines() if "->" in line)
    assert tuple(re.findall(r"[a-z]+", line)) == wire.STATES


@pytest.mark.parametrize(
    ("field", "choices", "default"),
    [("level", wire.LEVELS, "exact"), ("priority", wire.PRIORITIES, "batch"), ("output", (*wire.OUTPUTS, "codec"), "png")],
)
def test_choices(field: str, choices: tuple[str, ...], default: str) -> None:
    words = " or ".join(f"`{choice}`" + (" (default)" if choice == default else "") for choice in choices)
    assert f"`{field}` is {words}" in TEXT


def test_versions() -> None:
    assert wire.VERSION_FRAME.decode() == f"gesso/{wire.PROTOCOL_VERSION}"
    assert f"`{wire.VERSION_FRAME.decode()}`" in TEXT
    assert gesso.__version__ == wire.PACKAGE_VERSION
    assert wire.PLANE_MEDIA_TYPE in TEXT


def test_daemon_file() -> None:
    line = next(line for line in TEXT.splitlines() if line.startswith('    {"protocol"'))
    assert list(json.loads(line)) == [field.name for field in dataclasses.fields(DaemonInfo)]


def test_what_may_not_be_sent_twice() -> None:
    assert f"Every request but {' and '.join(f'`{kind}`' for kind in ONCE)} may be sent again" in TEXT


def test_every_error_code_that_the_page_names_exists() -> None:
    codes = set(by_code())
    named = {name for name in re.findall(_NAME, TEXT) if name in codes or f"code `{name}`" in TEXT}
    assert named >= {"unknown_type", "protocol", "version_mismatch", "conflict", "blob_missing", "invalid", "unknown_job", "poisoned"}
    assert named <= codes
