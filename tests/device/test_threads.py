"""The thread count follows a rule, and OpenMP hears of it before torch is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gesso.device.threads import MOST, VARIABLE, prepare, thread_count


def test_one_core_is_left_to_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((1, 1), (2, 1), (8, 7), (128, MOST)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)), raising=False)
        assert thread_count({}) == threads


@pytest.mark.parametrize(("chosen", "threads"), [("3", 3), ("0", None), ("-2", None), ("many", None), ("", None)])
def test_the_owner_chooses(chosen: str, threads: int | None) -> None:
    assert thread_count({VARIABLE: chosen}) == (threads or thread_count({}))


def test_what_openmp_reads() -> None:
    environ = {"OMP_NUM_THREADS": "64", "GOMP_SPINCOUNT": "5"}
    prepare(3, environ)
    assert environ["OMP_NUM_THREADS"] == "3"
    assert environ["GOMP_SPINCOUNT"] == "5"


def test_the_module_does_not_import_torch_and_torch_obeys() -> None:
    code = (
        "import sys; from gesso.device.threads import pin, prepare; assert 'torch' not in sys.modules; "
        "prepare(2); import torch; assert torch.get_num_threads() == 2; "
        "pin(1); print(torch.get_num_threads(), torch.get_num_interop_threads())"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert told.stdout.split() == ["1", "1"]
