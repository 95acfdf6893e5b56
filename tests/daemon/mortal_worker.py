"""The real worker, with a model that dies where a file says so: `PHASE HOW`, phase one of load, encode, step, decode. A death takes the
file along; too little memory lasts as long as the file.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gesso.worker.__main__ import main
from gesso.worker.models import WorkerCatalogue

ORDER = Path(os.environ["GESSO_TEST_DEATH"])
PHASES = {"encode": "encode_text", "step": "denoise", "decode": "decode"}


def die(phase: str) -> None:
    if not ORDER.exists() or ORDER.read_text().split()[0] != phase:
        return
    how = ORDER.read_text().split()[1]
    if how == "oom":
        raise torch.OutOfMemoryError("the fake allocator has no more")
    if how == "host-oom":
        raise MemoryError
    ORDER.unlink()
    if how == "segv":
        signal.raise_signal(signal.SIGSEGV)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        threading.Event().wait()


def mortal(model: Any, phase: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        die(phase)
        return method(*arguments, **options)

    return call


load = WorkerCatalogue.load


def deadly(self: WorkerCatalogue, card: Any, on: Any, thrift: Any) -> Any:
    die("load")
    model = load(self, card, on, thrift)
    for phase, name in PHASES.items():
        if hasattr(model, name):
            setattr(model, name, mortal(model, phase, getattr(model, name)))
    return model


WorkerCatalogue.load = deadly  # type: ignore[method-assign]

if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
