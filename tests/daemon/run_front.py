"""Runs a real front with a fake worker, as told by a JSON object: options, and the named step at which it is killed or the disk fails."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from gesso.daemon import ServeOptions, front, serve, steps
from gesso.daemon.main import on_demand
from gesso.errors import GessoError

HERE = Path(__file__).parent
TOUCHING = {
    "open": 1, "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.chmod": 1, "os.listdir": 1, "os.scandir": 1,
    "os.rename": 2, "os.link": 2, "os.symlink": 2,
}  # fmt: skip
"""Audit events of files, and how many of their arguments are paths."""


class Saboteur:
    """Kills the process, raises as a full disk does, stands still, or leaks, when a step is reached for the n-th time."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.seen = 0
        self.leaked: list[bytes] = []

    def __call__(self, name: str) -> None:
        if name != self.plan["step"]:
            return
        self.seen += 1
        if self.plan["do"] == "kill" and self.seen == self.plan["nth"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.plan["do"] == "block" and self.seen == self.plan["nth"]:
            time.sleep(8)
        if self.plan["do"] == "leak":
            self.leaked.append(os.urandom(1 << 20))
        if self.plan["do"] == "fail" and self.plan["nth"] <= self.seen < self.plan["nth"] + self.plan.get("times", 1):
            raise OSError(errno.ENOSPC, "No space left on device")


def write_down_opens(target: Path) -> None:
    """Every path that this process opens, makes, renames or removes from now on, one a line, as Python itself reports it."""
    paths = target.open("a", encoding="utf-8", errors="backslashreplace")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        count = TOUCHING.get(event, 0)
        if count:
            paths.writelines(os.fsdecode(path) + "\n" for path in arguments[:count] if isinstance(path, (str, bytes, os.PathLike)))
            paths.flush()

    sys.addaudithook(hook)


def main() -> int:
    plan = json.loads(sys.argv[1])
    if "opens" in plan:
        write_down_opens(Path(plan["opens"]))
    if "--version" in sys.argv:
        print(json.dumps({"version": plan.get("version", front.PACKAGE_VERSION)}))
        return 0
    front.PACKAGE_VERSION = plan.get("version", front.PACKAGE_VERSION)  # what it says of itself to clients
    if "sabotage" in plan:
        steps.listen(Saboteur(plan["sabotage"]))
    if "file_size" in plan:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (plan["file_size"], plan["file_size"]))
    options = ServeOptions(
        tcp=plan.get("tcp", False),
        prewarm=plan.get("prewarm", True),
        on_demand=plan.get("on_demand", on_demand()),
        flags=plan.get("settings", {}),
        worker_command=(sys.executable, str(HERE / plan.get("worker", "fake_worker.py"))),
        schema_files=None if "worker" in plan else (HERE / "operations.json",),
    )
    try:
        status = serve(options)
    except GessoError as fault:
        print(json.dumps(fault.to_wire()))
        return 1
    if plan.get("print_modules"):
        print(json.dumps(sorted(sys.modules)))
    return status


if __name__ == "__main__":
    sys.exit(main())
