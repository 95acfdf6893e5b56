"""Exceptions that our own code lets through: they are told where all errors are, in place of the window that Krita opens. What others let
through is left to Krita.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Optional

TOLD = "Something in Gesso's plugin went wrong; what you did may not have happened. Copy the error into an issue, please."
Tell = Callable[[str, str], object]
"""(sentence, detail)."""


def watch(tell: Tell) -> None:
    """From now on, tell of every exception that passed through this package."""
    before, telling = sys.excepthook, False

    def hook(kind: type[BaseException], fault: BaseException, trace: Optional[TracebackType]) -> None:
        nonlocal telling
        if telling or not _ours(trace):
            before(kind, fault, trace)
            return
        telling = True
        try:
            tell(TOLD, "".join(traceback.format_exception(kind, fault, trace)) + "code: internal")
        finally:
            telling = False

    sys.excepthook = hook


def _ours(trace: Optional[TracebackType]) -> bool:
    """Whether any frame is one of this package."""
    package = __name__.rpartition(".")[0] + "."
    return any(str(frame.f_globals.get("__name__", "")).startswith(package) for frame, _ in traceback.walk_tb(trace))
