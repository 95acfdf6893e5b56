"""How the end of a process reads in a sentence."""

from __future__ import annotations

import signal


def describe_exit(status: int) -> str:
    """``-11`` -> ``was ended by SIGSEGV``."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
