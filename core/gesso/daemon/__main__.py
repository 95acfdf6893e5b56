"""`python -m gesso.daemon`: the daemon without the command line client; what starts it in the background uses this."""

from __future__ import annotations

import argparse
import os
import sys

from gesso.daemon.main import serve
from gesso.daemon.options import STORAGE_LIMIT, ServeOptions
from gesso.errors import GessoError


def main(arguments: list[str] | None = None) -> int:
    """Exit statuses: 0 left in peace, 1 could not run, 2 usage."""
    parser = argparse.ArgumentParser("python -m gesso.daemon", allow_abbrev=False)
    parser.add_argument("--tcp", action="store_true", help="listen on loopback tcp too")
    parser.add_argument("--no-prewarm", action="store_true", help="start the worker with the first job only")
    parser.add_argument("--device", default=os.environ.get("GESSO_DEVICE", "auto"), help="of the worker: auto, cpu, cuda or cuda:N")
    parser.add_argument("--storage-limit", type=int, default=STORAGE_LIMIT, metavar="BYTES", help="how much the blobs may take")
    parser.add_argument("--idle-exit", type=float, default=None, metavar="SECONDS", help="leave after so long without work")
    found = parser.parse_args(arguments)
    options = ServeOptions(
        tcp=found.tcp,
        prewarm=not found.no_prewarm,
        device=found.device,
        storage_limit=found.storage_limit,
        idle_exit=found.idle_exit,
    )
    try:
        return serve(options)
    except GessoError as fault:
        print(f"{fault.message} {fault.hint or ''}".strip(), file=sys.stderr)
        return fault.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
