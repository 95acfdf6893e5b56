"""Counters and histograms of a front that served jobs, as `gesso status --json` shows them."""

from __future__ import annotations

import json

import pytest

from gesso.cli import main
from gesso.daemon.metrics import SECONDS, Histogram

from .talk import Daemon, Talk


def test_a_histogram_counts_by_bounds() -> None:
    histogram = Histogram(SECONDS)
    assert histogram.as_dict()["p50"] is None
    for value in [0.001] * 98 + [0.2, 5000.0]:
        histogram.observe(value)
    told = histogram.as_dict()
    assert told["buckets"] == {"0.001": 98, "0.3": 1, "inf": 1}
    assert (told["count"], told["max"], told["p50"], told["p99"]) == (100, 5000.0, 0.001, 0.3)
    assert told["sum"] == pytest.approx(5000.298)


def test_what_was_done_is_counted(daemon: Daemon, talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        talk.run("progress:7 sleep:0.05 image:64")
    talk.run("fail:model")
    talk.run("progress:5 lie:event image:64")
    assert main(["status", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert (metrics["accepted"], metrics["done"], metrics["failed"]) == (5, 4, 1)
    assert metrics["steps"] == 3 * 7 + 5
    assert metrics["queue_seconds"]["count"] == metrics["job_seconds"]["count"] == metrics["accept_seconds"]["count"] == 5
    assert metrics["job_seconds"]["sum"] >= 3 * 0.05
    assert metrics["answer_seconds"]["count"] + metrics["accept_seconds"]["count"] <= metrics["requests"] + 1
    assert metrics["memory"]["front"] > 8 << 20
    assert metrics["memory"]["worker"] > 8 << 20
    assert metrics["front_bytes"]["count"] >= 1
    assert main(["status"]) == 0
    assert "memory   front " in capsys.readouterr().out
