"""`gesso config`: list, get, set, unset as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gesso.cli import main
from gesso.config import KEYS


def test_set_get_list_unset(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "set", "storage.limit", "2 GiB"]) == 0
    assert "a running daemon takes it in at once" in capsys.readouterr().err
    assert main(["config", "get", "storage.limit"]) == 0
    assert capsys.readouterr().out == "2 GiB\n"
    assert main(["config", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == str(home / "config.toml")
    assert [entry["key"] for entry in told["settings"]] == [entry.name for entry in KEYS]
    assert {entry["key"]: entry["value"] for entry in told["settings"] if entry["from"] == "file"} == {"storage.limit": 2 << 30}
    assert main(["config", "unset", "storage.limit"]) == 0
    assert main(["config", "get", "storage.limit", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["from"] == "default"


def test_an_environment_variable_that_hides_a_change_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GESSO_THREADS", "2")
    assert main(["config", "set", "worker.threads", "3"]) == 0
    assert "the environment variable GESSO_THREADS goes over the file" in capsys.readouterr().err


def test_errors_name_key_and_fault(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "set", "storage.limt", "2"]) == 2
    assert "[storage.limt: config] Did you mean storage.limit?" in capsys.readouterr().err
    assert main(["config", "set", "queue.limit", "lots"]) == 2
    assert "queue.limit must be a whole number, not 'lots'" in capsys.readouterr().err
    assert not (home / "config.toml").exists()


def test_the_pattern_of_file_names_is_a_setting(home: Path, tmp_path: Path) -> None:
    from gesso.cli.output import Picture, destination

    main(["config", "set", "output.pattern", "{seed}"])
    place = destination(str(tmp_path) + "/")
    assert [path.name for path in place.paths([Picture(5, 1, "image")], {"slug": "x", "operation": "generate"})] == ["5.png"]
