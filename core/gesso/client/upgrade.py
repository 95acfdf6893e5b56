"""After an upgrade: an older daemon that still runs lets its running jobs end, leaves, and the new one goes on with what waits. It
never ends a daemon of another machine, a newer one, or one that it could not replace by a newer one.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import Any, Callable, Mapping, Optional, Tuple

from ..errors import GessoError, Unreachable
from ..wire import discovery
from ..wire.home import Home
from ..wire.message import PACKAGE_VERSION, decode, encode
from .opening import Opened, Place, open_connection
from .start import launch, program

_ASKING_SECONDS = 20.0
_GLANCE_SECONDS = 0.1
_ID = "upgrade"


def renew(place: Place, opened: Opened, say: Callable[[str], None]) -> Opened:
    """The connection to use: this one, or one to the daemon that took the older one's place. ``say`` is told before that happens."""
    theirs = str(opened.welcome["version"])
    if place.remote is not None or not is_older(theirs, PACKAGE_VERSION):
        return opened
    ours = _startable(place.home)
    if ours is None or not is_older(theirs, ours):
        return opened
    say(f"the running daemon is Gesso {theirs}, this is {ours}: it is restarted once the jobs that run have ended")
    try:
        stays = _ask(opened, "status").get("on_demand") is False
        _ask(opened, "stop", drain=True)
    finally:
        opened.wire.close()
    _wait_until_gone(place, opened.info.pid)
    if discovery.is_owned(place.home):
        return open_connection(place)  # whoever looks after it was faster
    return launch(place, on_demand=not stays, tcp=opened.info.tcp is not None)


def is_older(version: str, than: str) -> bool:
    """Compare the numbers of two versions; what has none is not older."""
    mine, other = _numbers(version), _numbers(than)
    return bool(mine) and bool(other) and mine < other


def _numbers(version: str) -> Tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _startable(home: Home) -> Optional[str]:
    """The version of the daemon that would be started from here, or None where that cannot be told."""
    try:
        words, ours = program(home)
    except GessoError:
        return None
    if ours:
        return PACKAGE_VERSION
    try:
        command = [*words, "--version", "--json"]
        told = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASKING_SECONDS)
        version = json.loads(told.stdout)["version"]
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError):
        return None
    return str(version)


def _ask(opened: Opened, kind: str, **fields: Any) -> Mapping[str, Any]:
    opened.wire.send(encode({"type": kind, "id": _ID, **fields}))
    deadline = time.monotonic() + _ASKING_SECONDS
    while time.monotonic() < deadline:
        frames = opened.wire.recv(deadline - time.monotonic())
        message = None if frames is None else decode(frames)
        if message is not None and message.header.get("re") == _ID:
            if message.type == "error":
                raise GessoError.from_wire(message.header["error"])
            return message.header
    raise Unreachable("The older daemon does not answer.", hint=f"End it with: kill {opened.info.pid}")


def _wait_until_gone(place: Place, pid: int) -> None:
    """However long its jobs take: whoever does not want to wait presses Ctrl-C, and nothing is lost."""
    while discovery.is_owned(place.home):
        newest = discovery.read(place.home)
        if newest is not None and newest.pid != pid:
            return
        time.sleep(_GLANCE_SECONDS)
