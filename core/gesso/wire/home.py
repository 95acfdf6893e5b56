"""Where Gesso keeps its state, per platform, and the check that only its owner can reach it. It reads no file and starts nothing."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import List, Mapping, Optional

from ..errors import UnsafeState

SOCKET_NAME = "front.sock"


def socket_path_limit(platform: str = sys.platform) -> int:
    """The longest path, in bytes, that a local socket may have: ``sun_path`` less its final zero."""
    return 107 if platform.startswith("linux") else 103


@dataclass(frozen=True)
class Home:
    """Every place where Gesso keeps something. ``Home.find()`` gives the user's own."""

    config_file: Path
    runtime: Path
    state: Path
    data: Path
    logs: Path

    @property
    def blobs(self) -> Path:
        """Images by their SHA-256."""
        return self.data / "blobs"

    @property
    def incoming(self) -> Path:
        """Files that clients on the same file system hand over."""
        return self.data / "incoming"

    @property
    def models(self) -> Path:
        """Models that the owner added."""
        return self.data / "models"

    @property
    def plugins(self) -> Path:
        """Plugins that the owner added."""
        return self.data / "plugins"

    @property
    def journal(self) -> Path:
        """The SQLite file with every job."""
        return self.state / "journal.sqlite"

    @property
    def keys(self) -> Path:
        """CURVE keys: ours, and those of others that may come in."""
        return self.state / "keys"

    @property
    def daemon_file(self) -> Path:
        """What a running daemon says about itself."""
        return self.runtime / "daemon.json"

    @property
    def program_file(self) -> Path:
        """How the daemon that ran last was started."""
        return self.state / "program.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the one daemon that owns this state; the file itself stays."""
        return self.state / "daemon.lock"

    @property
    def daemon_log(self) -> Path:
        """The daemon's newest log."""
        return self.logs / "daemon.log"

    @property
    def worker_log(self) -> Path:
        """The newest log of the workers."""
        return self.logs / "worker.log"

    @property
    def private(self) -> List[Path]:
        """The directories that only the owner may reach."""
        return [self.runtime, self.state, self.keys, self.blobs, self.incoming, self.plugins, self.logs]

    @staticmethod
    def find(root: Optional[Path] = None, environ: Optional[Mapping[str, str]] = None, platform: str = sys.platform) -> "Home":
        """The state of this user. ``root``, else ``GESSO_HOME``, moves everything into one directory; relative XDG paths are ignored."""
        environ = os.environ if environ is None else environ
        if root is None and environ.get("GESSO_HOME"):
            root = Path(environ["GESSO_HOME"])
        if root is not None:
            root = Path(os.path.abspath(os.path.expanduser(str(root))))
            return Home(root / "config.toml", root / "run", root / "state", root, root / "logs")
        user = Path(environ.get("HOME") or os.path.expanduser("~"))
        if platform == "win32":
            local = _directory(environ, "LOCALAPPDATA", user / "AppData" / "Local") / "gesso"
            roaming = _directory(environ, "APPDATA", user / "AppData" / "Roaming") / "gesso"
            return Home(roaming / "config.toml", local / "run", local / "state", local / "data", local / "logs")
        if platform == "darwin":
            support = user / "Library" / "Application Support" / "gesso"
            return Home(support / "config.toml", support / "run", support / "state", support / "data", user / "Library" / "Logs" / "gesso")
        config = _directory(environ, "XDG_CONFIG_HOME", user / ".config") / "gesso"
        state = _directory(environ, "XDG_STATE_HOME", user / ".local" / "state") / "gesso"
        data = _directory(environ, "XDG_DATA_HOME", user / ".local" / "share") / "gesso"
        session = environ.get("XDG_RUNTIME_DIR", "")
        runtime = Path(session) / "gesso" if os.path.isabs(session) and os.path.isdir(session) else state / "run"
        return Home(config / "config.toml", runtime, state, data, state / "logs")

    def prepare(self) -> None:
        """Make every directory, closed to others, and refuse those that are not; raises UnsafeState."""
        for path in self.private:
            make_private(path)
        self.models.mkdir(parents=True, exist_ok=True)

    def socket_path(self) -> Path:
        """The local socket's path. Where the runtime directory is too deep for one, a short private directory under the temporary one."""
        direct = self.runtime / SOCKET_NAME
        if len(os.fsencode(str(direct))) <= socket_path_limit():
            return direct
        import hashlib  # these two cost every start of the command line more than all the rest of this module
        import tempfile

        mark = hashlib.sha256(os.fsencode(str(self.runtime))).hexdigest()[:12]
        for base in (tempfile.gettempdir(), "/tmp"):
            short = Path(base) / f"gesso-{_owner()}-{mark}" / SOCKET_NAME
            if len(os.fsencode(str(short))) <= socket_path_limit():
                return short
        raise UnsafeState(
            f"No directory is short enough for a local socket: {direct} has more than {socket_path_limit()} bytes.",
            hint="Set GESSO_HOME or TMPDIR to a shorter path.",
        )


def _directory(environ: Mapping[str, str], name: str, default: Path) -> Path:
    value = environ.get(name, "")
    return Path(value) if os.path.isabs(value) else default


def _owner() -> int:
    return os.geteuid() if sys.platform != "win32" else 0


def make_private(path: Path) -> None:
    """Make a directory of mode 0700, and its missing parents, then check it; raises UnsafeState."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise UnsafeState(f"The directory {path} cannot be made: {fault.strerror or fault}.") from fault
    check_private(path)


def check_private(path: Path) -> None:
    """Refuse a directory or file that is a link, belongs to somebody else, or lets others in; raises UnsafeState.

    On Windows the profile's access list does this, and only links are refused.
    """
    try:
        found = os.lstat(path)
    except OSError as fault:
        raise UnsafeState(f"{path} cannot be looked at: {fault.strerror or fault}.") from fault
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        raise UnsafeState(f"{path} is neither a plain directory nor a plain file.", hint="Remove it, or set GESSO_HOME to another place.")
    if sys.platform == "win32":
        return
    if found.st_uid != _owner():
        raise UnsafeState(
            f"{path} belongs to user {found.st_uid}, not to you (user {_owner()}).",
            hint="Set GESSO_HOME to a directory of your own.",
        )
    if found.st_mode & 0o077:
        raise UnsafeState(
            f"{path} can be reached by other users (mode {stat.S_IMODE(found.st_mode):04o}).",
            hint=f"Close it with: chmod go-rwx '{path}'",
        )
