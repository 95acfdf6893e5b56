"""The command `gesso`. It draws and asks; every operation runs in the daemon, and what it may be asked stands in the schema file."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code: 0 done, 1 failed, 2 usage or invalid, 130 cancelled."""
    from gesso.cli.app import run

    return run(argv)
