"""Exceptions that nobody caught: those of the bridge are told, all others go on to whoever was told before."""

from __future__ import annotations

import sys
from types import TracebackType

import pytest

from gesso_bridges.krita import boxes, faults

Seen = list[tuple[str, str]]


def raised(call: object) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    try:
        call()  # type: ignore[operator]
    except Exception as fault:
        return type(fault), fault, fault.__traceback__
    raise AssertionError("it did not raise")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> tuple[Seen, list[BaseException]]:
    seen: Seen = []
    passed: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, fault, trace: passed.append(fault))
    faults.watch(lambda sentence, detail: seen.append((sentence, detail)))
    return seen, passed


def test_ours_are_told_and_others_are_passed_on(told: tuple[Seen, list[BaseException]]) -> None:
    """Fails without `before(kind, fault, trace)` (Krita's own window would never open again), and without `_ours` (it would never open)."""
    seen, passed = told
    sys.excepthook(*raised(lambda: boxes.Box(0, 0, 1, 1).cut(None)))  # type: ignore[arg-type]
    sys.excepthook(*raised(lambda: 1 // 0))
    (sentence, detail), *more = seen
    assert not more
    assert sentence == faults.TOLD
    assert "AttributeError" in detail
    assert detail.endswith("code: internal")
    assert [type(fault) for fault in passed] == [ZeroDivisionError]


def test_a_fault_while_telling_ends_the_telling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails without `telling`: the hook would call itself for ever."""
    passed: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, fault, trace: passed.append(fault))
    found = raised(lambda: boxes.Box(0, 0, 1, 1).cut(None))  # type: ignore[arg-type]
    faults.watch(lambda sentence, detail: sys.excepthook(*found))
    sys.excepthook(*found)
    assert passed == [found[1]]
