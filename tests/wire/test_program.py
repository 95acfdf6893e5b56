"""How the daemon that ran last is found again."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gesso.wire.home import Home
from gesso.wire.program import remember, remembered


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.find(tmp_path / "home")
    home.prepare()
    return home


def test_what_was_written_comes_back_and_the_newest_wins(home: Home) -> None:
    assert remembered(home) is None
    remember(home, ["/bin/sh", "-m", "gesso"])
    remember(home, [sys.executable, "-m", "gesso"])
    assert remembered(home) == [sys.executable, "-m", "gesso"]
    before = os.stat(home.program_file)
    remember(home, [sys.executable, "-m", "gesso"])
    assert os.stat(home.program_file).st_ino == before.st_ino


def test_a_program_that_has_gone_is_not_offered(home: Home, tmp_path: Path) -> None:
    remember(home, [str(tmp_path / "removed" / "python"), "-m", "gesso"])
    assert remembered(home) is None


@pytest.mark.parametrize("content", [{}, [], [1], ["sh"], "sh", None])
def test_what_is_no_program_is_not_run(home: Home, content: Any) -> None:
    home.program_file.write_text(json.dumps(content))
    home.program_file.chmod(0o600)
    assert remembered(home) is None


def test_what_others_could_have_written_is_not_run(home: Home) -> None:
    remember(home, ["/bin/sh"])
    home.program_file.chmod(0o666)
    assert remembered(home) is None
