"""`gesso keys` as it is typed, and a picture fetched from a daemon over CURVE with what it printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gesso.cli import main

from ..conftest import start_daemon, stop_daemon


def gesso(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    code = main([*words, "--json"])
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    assert code == 0, found
    return found


def test_from_a_new_key_to_a_status_over_curve_and_out_again(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GESSO_ADDRESS", "GESSO_DAEMON_KEY", "GESSO_KEY"):
        monkeypatch.setenv(name, "")
    assert gesso(capsys, "keys", "list") == {"daemon_key": None, "pairs": [], "authorised": []}
    made = gesso(capsys, "keys", "new")
    assert Path(str(made["path"])).stat().st_mode & 0o077 == 0
    added = gesso(capsys, "keys", "authorize", "laptop", str(made["public"]))
    listed = gesso(capsys, "keys", "list")
    assert listed["daemon_key"] == added["daemon_key"]
    assert listed["pairs"] == [{"name": "default", "public": made["public"]}]
    assert listed["authorised"] == [{"name": "laptop", "public": made["public"], "principal": added["principal"]}]
    daemon = start_daemon(home, "--listen", "tcp://127.0.0.1:0")
    try:
        address = json.loads((home / "run/daemon.json").read_text())["curve"]
        there = ("--address", address, "--daemon-key", str(added["daemon_key"]))
        assert gesso(capsys, *there, "status")["pid"] == daemon.pid
        assert gesso(capsys, "keys", "revoke", "laptop") == {"revoked": "laptop"}
        assert main([*there, "status", "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "unauthorised"
    finally:
        stop_daemon(daemon)


def test_mistakes_are_sentences(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "authorize", "laptop", "abc"]) == 2
    assert "64 hexadecimal digits" in capsys.readouterr().err
    assert main(["keys", "revoke", "laptop"]) == 2
    assert "No key is authorised as 'laptop'" in capsys.readouterr().err
    assert main(["keys", "new", "Big Name"]) == 2
    assert "no name for a key" in capsys.readouterr().err
