"""The settings of a running daemon: what `config.toml` says now, as far as it may change while the daemon runs. A broken file changes
nothing and is reported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from gesso.config import KEYS, Settings, Value, load
from gesso.errors import ConfigError

_log = logging.getLogger(__name__)


class LiveSettings:
    """``now`` are the settings in force; ``fault`` says why the file's newest state is not; ``changed`` is told of each change."""

    def __init__(self, settings: Settings, flags: Mapping[str, Value]) -> None:
        self.now = settings
        self.fault: str | None = None
        self.changed: Callable[[Settings], None] = lambda _: None
        self._flags = flags
        self._stamp = self._look()

    def refresh(self) -> None:
        """Read the file again if it has changed."""
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            found = load(self.now.path, flags=self._flags)
        except ConfigError as fault:
            self.fault = fault.message
            _log.warning("the settings cannot be read and stay as they are", extra={"fault": fault.message})
            return
        self.fault = None
        live = {key.name: found[key.name] for key in KEYS if key.taken == "at once"}
        if any(self.now[name] != value for name, value in live.items()):
            self.now = replace(self.now, values={**self.now.values, **live})
            self.changed(self.now)
            _log.info("the settings have changed", extra={"settings": live})

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self.now.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
