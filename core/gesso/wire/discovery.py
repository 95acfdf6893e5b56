"""`daemon.json`: how a running daemon is found. It reads and writes that one file, and asks nobody whether it is still true."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from typing import Any, Dict, Optional

from ..errors import UnsafeState
from .home import Home, check_private, make_private

_LARGEST = 65536


@dataclass(frozen=True)
class DaemonInfo:
    """What a daemon says about itself. ``ipc``, ``tcp`` and ``curve`` are endpoints or None; ``token`` is 64 hexadecimal digits or None."""

    protocol: int
    version: str
    pid: int
    ipc: Optional[str]
    tcp: Optional[str]
    token: Optional[str]
    curve: Optional[str] = None


def write(home: Home, info: DaemonInfo) -> None:
    """Publish the daemon, atomically, in a file that only its owner can read; raises UnsafeState or OSError."""
    make_private(home.runtime)
    handle, name = tempfile.mkstemp(prefix=".daemon-", dir=str(home.runtime))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(info), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, home.daemon_file)
    except BaseException:
        os.unlink(name)
        raise


def read(home: Home) -> Optional[DaemonInfo]:
    """What the last daemon published, or None where there is no such file or it cannot be understood; raises UnsafeState."""
    if not os.path.lexists(home.daemon_file):
        return None
    check_private(home.runtime)
    try:
        check_private(home.daemon_file)
    except UnsafeState:
        if os.path.lexists(home.daemon_file):
            raise
        return None
    return _load(home)


def _load(home: Home) -> Optional[DaemonInfo]:
    try:
        with open(home.daemon_file, "rb") as file:
            return _parse(json.loads(file.read(_LARGEST)))
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def _parse(wire: Any) -> Optional[DaemonInfo]:
    """An object of the right types; fields of later versions are ignored."""
    if not isinstance(wire, dict):
        return None
    kinds: Dict[str, Any] = {"protocol": int, "version": str, "pid": int}
    if not all(isinstance(wire.get(name), kind) for name, kind in kinds.items()):
        return None
    optional = {name: wire.get(name) for name in ("ipc", "tcp", "token", "curve")}
    if not all(value is None or isinstance(value, str) for value in optional.values()):
        return None
    return DaemonInfo(wire["protocol"], wire["version"], wire["pid"], **optional)


def remove(home: Home, pid: Optional[int] = None) -> None:
    """Take the file away, if it still speaks of ``pid`` (default: this process), whatever became of its permissions."""
    info = _load(home)
    if info is not None and info.pid == (os.getpid() if pid is None else pid):
        os.unlink(home.daemon_file)


def is_alive(pid: int) -> bool:
    """Whether a process of this number exists. That it is the daemon is known only once it answers."""
    if not 0 < pid < 1 << 31:
        return False
    if sys.platform == "win32":
        import ctypes

        query, still_active = 0x1000, 259
        handle = ctypes.windll.kernel32.OpenProcess(query, False, pid)
        if not handle:
            return False
        code = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return code.value == still_active
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, and is another user's
    return True


def is_owned(home: Home) -> bool:
    """Whether a daemon holds this state, even one that has not published itself yet or is about to leave."""
    if sys.platform == "win32":
        info = read(home)
        return info is not None and is_alive(info.pid)
    import fcntl

    try:
        descriptor = os.open(home.lock_file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
