"""Changes one setting in `config.toml`. It writes whole files or none."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from gesso.config.keys import Value, key
from gesso.config.settings import parse
from gesso.config.text import with_value, without
from gesso.errors import ConfigError


def change(path: Path, name: str, words: str | None) -> Value:
    """Set a key in the file to what ``words`` say, or take it out (None); gives the value. ConfigError leaves the file as it was."""
    entry = key(name)
    try:
        value = entry.default if words is None else entry.read(words)
    except ValueError as fault:
        raise ConfigError(f"{name} {fault}, not {str(words)[:80]!r}.", field=name) from None
    raw = path.read_text(encoding="utf-8") if path.exists() else ""
    before = parse(raw, path)
    text = without(raw, name) if words is None else with_value(raw, entry, value)
    wanted = {other: held for other, held in before.items() if other != name} | ({} if words is None else {name: value})
    if parse(text, path) != wanted:
        raise ConfigError(f"{path} is written in a way that cannot be changed by program.", hint=f"Set {name} in it by hand.")
    _write(path, text)
    return value


def _write(path: Path, text: str) -> None:
    temporary = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".config-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path.resolve() if path.is_symlink() else path)
    except OSError as fault:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise ConfigError(
            f"{path} cannot be written: {fault.strerror or fault}.", hint="Check its folder's permissions and the disk."
        ) from fault
