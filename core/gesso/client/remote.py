"""A daemon on another machine: its address, its key and ours, from what a program gave, the environment and key files. It dials nobody."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Mapping, Optional, Union

from ..errors import InvalidRequest, UsageError
from ..wire import keys
from ..wire.home import Home
from ..wire.transport import Curve


@dataclass(frozen=True)
class Remote:
    """``address``: ``tcp://HOST:PORT``. ``daemon_key``: its public key. ``key``: the name of a pair of ours, or the path of one."""

    address: str
    daemon_key: str
    key: str = keys.DEFAULT

    @staticmethod
    def find(given: "Union[str, Remote, None]", environ: Optional[Mapping[str, str]] = None) -> "Optional[Remote]":
        """What was given, else what ``GESSO_ADDRESS`` says; keys come from ``GESSO_DAEMON_KEY`` and ``GESSO_KEY``. Raises UsageError."""
        if isinstance(given, Remote):
            return given
        environ = os.environ if environ is None else environ
        address = given or environ.get("GESSO_ADDRESS")
        if not address:
            return None
        daemon_key = environ.get("GESSO_DAEMON_KEY")
        if not daemon_key:
            raise UsageError(
                f"The daemon at {address} is only spoken to with its public key, and none was given.",
                field="daemon_key",
                hint="Set GESSO_DAEMON_KEY to what `gesso keys list` shows as the daemon's key on its machine.",
            )
        return Remote(address, daemon_key, environ.get("GESSO_KEY") or keys.DEFAULT)

    def credentials(self, home: Home) -> Curve:
        """The three keys of the connection; raises UsageError, InvalidRequest or UnsafeState."""
        if not self.address.startswith("tcp://"):
            raise InvalidRequest(f"{self.address!r} is not an address such as tcp://10.0.0.5:7421.", field="address")
        pair = keys.read_pair(keys.pair_path(home, self.key))
        return Curve(keys.check_key(self.daemon_key, "daemon_key"), pair.public, pair.secret)
