"""How things stand with the daemon, in plain words, each with what mends it.

    unknown -> looking -> connected <-> lost        absent: no daemon is installed here
                 |  `-> starting -'                 stopped: none runs
                 `-> absent | stopped | other_version | failed

It asks nobody and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional

from gesso.client.start import program
from gesso.errors import GessoError, StartFailed, Unreachable, VersionMismatch
from gesso.wire.home import Home
from gesso.wire.message import PACKAGE_VERSION

NAMES = ("unknown", "looking", "starting", "connected", "lost", "absent", "stopped", "other_version", "failed")
FIXES: Mapping[str, str] = {
    "start": "Start Gesso",
    "again": "Try again",
    "restart": "Restart Gesso",
    "locate": "Where is Gesso?",
}
"""What a button does: `Session.fix` knows each but ``locate``, for which the host asks for the path of the program `gesso`."""


@dataclass(frozen=True)
class State:
    """``sentence`` and ``hint`` are fit to show; ``fix`` is a key of `FIXES`, or None where nothing is wrong."""

    name: str
    sentence: str
    hint: str = ""
    fix: Optional[str] = None
    code: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def connected(self) -> bool:
        """Whether jobs can be given to the daemon now."""
        return self.name == "connected"


UNKNOWN = State("unknown", "Gesso has not been looked for yet.", fix="again")
LOOKING = State("looking", "Looking for Gesso.")


def starting(sentence: str) -> State:
    """A daemon comes up; ``sentence`` is the client's own."""
    return State("starting", f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}.")


def connected(welcome: Mapping[str, Any]) -> State:
    """A daemon answered. One of another release that speaks our protocol is used, and named."""
    theirs = str(welcome.get("version"))
    if theirs != PACKAGE_VERSION:
        hint = "Bring the bridge to the same version: gesso bridge update"
        return State("connected", f"Connected to Gesso {theirs}; this bridge is of version {PACKAGE_VERSION}.", hint)
    return State("connected", f"Connected to Gesso {theirs}.")


def lost() -> State:
    """There was a connection, and the daemon has gone; its jobs are kept."""
    return State("lost", "The daemon has stopped. What it had accepted is kept.", fix="start", code=Unreachable.code)


def of_fault(fault: GessoError) -> State:
    """Why there is no connection."""
    hint = fault.hint or ""
    if isinstance(fault, VersionMismatch):
        return State("other_version", fault.message, hint, "restart", fault.code, fault.details)
    if isinstance(fault, Unreachable):
        try:
            program(Home.find())
        except StartFailed as missing:
            return State("absent", missing.message, missing.hint or "", "locate", missing.code)
        if isinstance(fault, StartFailed):
            return State("failed", fault.message, hint, "again", fault.code, fault.details)
        return State("stopped", fault.message, "", "start", fault.code)
    return State("failed", fault.message, hint, "again", fault.code, fault.details)
