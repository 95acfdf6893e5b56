"""How many threads compute on the CPU, and how they wait for one another. The choice changes bits, so it is made by rule and not by the
load of the moment, stays for the life of the worker, and is part of the environment that a result records. The module does not import
torch: OpenMP reads the waiting policy once, when torch is loaded.

By default OpenMP's threads spin while they wait. Beside another busy program one of them is then always descheduled while the others burn
their time slices: a step of a small UNet with 2 threads took 1200 ms instead of 54 ms on a loaded 2-core machine. Sleeping instead
(OMP_WAIT_POLICY=passive) took 120 ms idle and 180 ms loaded, one thread 72 ms and 130 ms. So one core is left to the hosts, and where
more than one thread remains they spin only briefly.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, MutableMapping

MOST = 16
"""Beyond this, steps of the models in use get no faster (memory bandwidth), and hosts suffer."""
VARIABLE = "GESSO_THREADS"
"""The owner's own choice, in the environment."""
SPIN = "2000"
"""Iterations a waiting thread spins before it sleeps: some microseconds. Ten times as many cost up to ten times the step where other
programs want both cores, and gained nothing in any measurement (bench/results/threads.json)."""


def thread_count(environ: Mapping[str, str] = os.environ) -> int:
    """Threads for computing: the owner's choice, else all cores but one, which is left to the hosts."""
    chosen = environ.get(VARIABLE, "")
    if chosen.isdecimal() and int(chosen) > 0:
        return int(chosen)
    return max(1, min(_usable() - 1, MOST))


def alternatives(environ: Mapping[str, str] = os.environ) -> tuple[int, ...]:
    """Counts that jobs of level `fast` may try beside that: one, and all cores; none where the owner chose."""
    return () if environ.get(VARIABLE, "").isdecimal() else tuple(dict.fromkeys((1, min(_usable(), MOST))))


def _usable() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare(threads: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set what OpenMP reads when torch is imported."""
    environ["OMP_NUM_THREADS"] = str(threads)
    environ.setdefault("GOMP_SPINCOUNT", SPIN)
    environ.setdefault("KMP_BLOCKTIME", "0")


def pin(threads: int) -> None:
    """Fix torch's thread counts, after it was imported."""
    import torch

    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:
        with contextlib.suppress(RuntimeError):  # it computed before, in the process of a test; these threads change no bits
            torch.set_num_interop_threads(1)
