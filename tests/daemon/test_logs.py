"""Logs: lines of JSON whoever spoke, bounded while a worker floods, without prompts unless asked, readable as they grow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gesso.cli import main
from gesso.daemon.output import BURST, LINE, RATE, WorkerOutput
from gesso.logs import files_of

from .conftest import Make
from .talk import Daemon, Talk, memory_of


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files_of(path) for line in file.read_text().splitlines()]


def pumped(output: WorkerOutput, *parts: bytes) -> None:
    """Let ``output`` take what a worker would have written."""
    reading, writing = os.pipe()
    thread = threading.Thread(target=output.pump, args=(reading, 7))
    thread.start()
    for part in parts:
        os.write(writing, part)
        time.sleep(0.01)
    os.close(writing)
    thread.join(10)
    output.close()
    assert not thread.is_alive()


def test_json_passes_and_anything_else_becomes_a_line(tmp_path: Path) -> None:
    output = WorkerOutput(tmp_path / "worker.log", 1 << 20, 1)
    said = b'{"time": "2026-01-01T00:00:00.000Z", "level": "info", "message": "mine"}\n'
    pumped(output, b"torn ", b"line\n\n", said, b'{"time": broken\n', b"\xff\xfe\n", b"x" * 20_000, b"\nlast")
    found = lines(tmp_path / "worker.log")
    assert [line["message"] for line in found[:4]] == ["torn line", "mine", '{"time": broken', "\ufffd\ufffd"]
    assert max(len(line["message"]) for line in found) <= LINE
    assert found[-1]["message"] == "last"
    assert found[0]["pid"] == 7
    assert output.last_words() == "last"


def test_what_is_over_the_budget_is_dropped_and_counted(tmp_path: Path) -> None:
    now = [0.0]
    output = WorkerOutput(tmp_path / "worker.log", 64 << 20, 1, clock=lambda: now[0])
    pumped(output, *[(b"y" * 999 + b"\n") * 50] * (BURST // 50_000 + 5))
    before = output.dropped
    assert 0 < before <= 400_000
    now[0] += 2 * BURST / RATE
    pumped(output, b"calm again\n")
    found = lines(tmp_path / "worker.log")
    assert found[-1]["message"] == "calm again"
    assert sum(line.get("dropped_bytes", 0) for line in found) == output.dropped == before


def test_a_full_disk_stops_neither_the_reader_nor_the_worker(tmp_path: Path) -> None:
    output = WorkerOutput(tmp_path / "missing" / "worker.log", 1 << 20, 1)
    pumped(output, b"a\n" * 5000)


def test_a_worker_that_floods_its_log_fills_no_disk_and_hurts_nobody(make_daemon: Make) -> None:
    daemon = make_daemon(settings={"logs.size": 1 << 20, "logs.files": 1}).start()
    with daemon.talk() as talk:
        talk.run("image:64")
        before = memory_of(daemon.live.pid)
        done = talk.run("flood:50000 image:64")
        assert done["type"] == "done"
        assert talk.run("image:64")["type"] == "done"
        state = talk.ask("status")
        assert state["metrics"]["worker_output_dropped"] > 40 << 20
        assert memory_of(daemon.live.pid) - before < 32 << 20
    taken = sum(file.stat().st_size for file in files_of(daemon.home.worker_log))
    assert 0 < taken <= 2 * ((1 << 20) + LINE)
    assert all("time" in line for line in lines(daemon.home.worker_log))


def test_the_last_words_of_a_worker_are_said(make_daemon: Make) -> None:
    daemon = make_daemon({"GESSO_FAKE_START": "exit"}, prewarm=False).start()
    with daemon.talk() as talk:
        assert "the fake worker was told not to start" in talk.run("image:64")["error"]["message"]


@pytest.mark.parametrize("asked", [False, True])
def test_prompts_are_in_the_log_only_if_asked(make_daemon: Make, asked: bool) -> None:
    daemon = make_daemon(settings={"logs.prompts": asked, "logs.level": "debug"}).start()
    with daemon.talk() as talk:
        job = talk.run("image:64 secretword")["job"]
    accepted = next(line for line in lines(daemon.home.daemon_log) if line["message"] == "a job was accepted")
    assert (accepted["job"], accepted["operation"], accepted["client"]) == (job, "paint", "test")
    assert ("secretword" in daemon.home.daemon_log.read_text()) is asked


def test_gesso_logs_shows_one_job_and_levels(daemon: Daemon, talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    done, crashed = talk.run("image:64")["job"], talk.run("say:gone_wrong segv")["job"]
    assert main(["logs", done]) == 0
    shown = capsys.readouterr().out
    assert "a job ended" in shown
    assert crashed not in shown
    assert main(["logs", "--level", "error", "--json"]) == 0
    errors = json.loads(capsys.readouterr().out)["lines"]
    assert {line["message"] for line in errors} == {"a worker was lost"}
    assert main(["logs", "-n", "500"]) == 0
    shown = capsys.readouterr().out
    assert "gone wrong" in shown
    assert f"job={crashed}" in shown
    assert main(["logs", "nobody"]) == 0
    assert "no such lines" in capsys.readouterr().err


@pytest.mark.reliability
def test_gesso_logs_follows_over_the_change_of_a_file(make_daemon: Make) -> None:
    daemon = make_daemon(settings={"logs.size": 64 << 10}).start()
    follower = subprocess.Popen(
        [sys.executable, "-m", "gesso", "logs", "-f", "-n", "0", "--json"], env=daemon.environment, stdout=subprocess.PIPE, text=True
    )
    seen: list[dict[str, Any]] = []
    assert follower.stdout is not None
    reader = threading.Thread(target=lambda: seen.extend(map(json.loads, follower.stdout or ())))
    reader.start()
    try:
        with daemon.talk() as talk:
            deadline = time.monotonic() + 60
            while not seen and time.monotonic() < deadline:
                talk.run("image:64")  # until the follower is there
            jobs = {talk.run("image:64", params={"seed": number})["job"] for number in range(250)}
        while {line.get("job") for line in seen if line["message"] == "a job ended"}.isdisjoint(
            {max(jobs)}
        ) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
    finally:
        follower.terminate()
        follower.wait(10)
        reader.join(10)
        follower.stdout.close()
    assert len(files_of(daemon.home.daemon_log)) > 1
    assert jobs <= {line.get("job") for line in seen if line["message"] == "a job ended"}
