"""Fixtures of all tests: every test's state lies in a short folder of its own, and no daemon outlives its test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# The same examples every time, and no time-outs: a machine may be busy.
settings.register_profile("gesso", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gesso")

# What a test starts with `python -m gesso` runs this checkout, however Gesso is installed, and fetches nothing.
os.environ["PYTHONPATH"] = os.pathsep.join(str(ROOT / folder) for folder in ("core", "plugins", "bridges"))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "2")


def processes_of(home: Path) -> list[int]:
    """Processes whose environment names this state directory; this process is none of them."""
    mark = f"GESSO_HOME={home}".encode()
    found = []
    for entry in Path("/proc").iterdir() if sys.platform == "linux" else ():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if mark in environment.split(b"\0"):
            found.append(int(entry.name))
    return found


def end_all(home: Path, patience: float = 10.0) -> None:
    """Ask every process of this state directory to leave, then end those that stay."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes_of(home):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + patience
        while processes_of(home) and time.monotonic() < deadline:
            time.sleep(0.02)


@pytest.fixture(scope="session", autouse=True)
def _no_test_touches_the_users_own_state() -> Iterator[None]:
    """Tests that ask for no `home` share an empty one."""
    home = Path(tempfile.mkdtemp(prefix="gesso-", dir="/tmp"))
    os.environ["GESSO_HOME"] = str(home)
    yield
    end_all(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory of this test, named by GESSO_HOME; its path is short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="gesso-", dir="/tmp"))
    monkeypatch.setenv("GESSO_HOME", str(path))
    yield path
    end_all(path)
    shutil.rmtree(path, ignore_errors=True)


def start_daemon(home: Path, *words: str, patience: float = 20.0) -> subprocess.Popen[str]:
    """`gesso serve` as a child process, listening; its output goes to a file in the state directory."""
    home.mkdir(mode=0o700, exist_ok=True)
    log = (home / "serve.log").open("w", encoding="utf-8")
    daemon = subprocess.Popen(
        [sys.executable, "-m", "gesso", "serve", *words],
        env={**os.environ, "GESSO_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    log.close()
    deadline = time.monotonic() + patience
    while not (home / "run/daemon.json").exists():
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.kill()
            daemon.wait()
            raise AssertionError(f"the daemon did not start:\n{(home / 'serve.log').read_text(encoding='utf-8')}")
        time.sleep(0.01)
    return daemon


def stop_daemon(daemon: subprocess.Popen[str], patience: float = 15.0) -> int:
    """End it as a service manager would; its exit code."""
    daemon.send_signal(signal.SIGTERM)
    try:
        return daemon.wait(patience)
    except subprocess.TimeoutExpired:
        daemon.kill()
        return daemon.wait()


@pytest.fixture
def daemon(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A real daemon for this test's state directory."""
    running = start_daemon(home)
    yield running
    stop_daemon(running)
