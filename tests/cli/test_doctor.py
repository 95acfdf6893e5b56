"""`gesso doctor`: each fault that a user can have is found, and each finding says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gesso.cli import main
from gesso.cli.doctor import wal_reset_defect
from gesso.wire.home import Home


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing torch takes seconds; one test below does it."""
    monkeypatch.setattr("gesso.cli.doctor._ASK_TORCH", "print('a device')")


def findings(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    code = main(["doctor", "--json"])
    return code, json.loads(capsys.readouterr().out)["findings"]


def of(found: list[dict[str, Any]], check: str) -> dict[str, Any]:
    return next(finding for finding in found if finding["check"] == check)


def test_a_sound_machine_has_no_problem_and_names_its_device(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = findings(capsys)
    assert code == 0
    assert "torch" in of(found, "device")["finding"]
    assert {"sqlite", "libzmq", "settings", "state", "disk", "daemon"} <= {finding["check"] for finding in found}
    assert [finding for finding in found if finding["state"] != "ok" and not finding["fix"]] == []


@pytest.mark.usefixtures("_quick")
def test_every_fault_is_found_with_its_fix(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = Home.find(home)
    state.prepare()
    state.config_file.write_text("[storage]\nlimt = 1\n")
    state.logs.chmod(0o755)
    (state.state / "journal-damaged-20260101-000000-abcd.sqlite").write_bytes(b"x")
    (state.blobs / ".tmp-1").touch()
    (state.runtime / "worker-1.box").touch()
    state.socket_path().write_text("no socket")
    code, found = findings(capsys)
    assert code == 1
    wrong = {(finding["check"], finding["state"]) for finding in found if finding["state"] != "ok"}
    assert wrong >= {("settings", "problem"), ("state", "problem"), ("stale", "warning"), ("socket", "problem")}
    assert [finding for finding in found if finding["state"] != "ok" and not finding["fix"]] == []
    assert "line 2" in of(found, "settings")["finding"]
    assert of(found, "state")["fix"].startswith("Close it with: chmod")
    stale = [finding["finding"] for finding in found if finding["check"] == "stale"]
    assert len(stale) == 2
    assert "2 files of a daemon that did not end in peace" in stale[1]


def test_a_broken_torch_is_a_finding(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("gesso.cli.doctor._ASK_TORCH", "raise ImportError('libcudart is missing')")
    code, found = findings(capsys)
    assert code == 1
    assert "libcudart is missing" in of(found, "device")["finding"]
    assert "pip install" in of(found, "device")["fix"]


@pytest.mark.parametrize(
    ("version", "flawed"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
    ],
)
def test_versions_of_sqlite_with_the_wal_reset_defect(version: tuple[int, int, int], flawed: bool) -> None:
    assert wal_reset_defect(version) is flawed
