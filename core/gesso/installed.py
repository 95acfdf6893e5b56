"""What Gesso has copied into the folders of other programs: a written record with hashes, and how it all goes away again. It knows none of
those programs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gesso import statefiles
from gesso.errors import OutputError
from gesso.wire.home import Home, make_private

RECORD = "bridges.json"


@dataclass(frozen=True)
class Copy:
    """One copy in one folder. ``files``: path below it -> SHA-256; ``made``: folders that were not there before, outermost first."""

    name: str
    folder: Path
    title: str
    version: str
    files: Mapping[str, str] = field(default_factory=dict)
    made: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of what is still there."""
        return sum(path.stat().st_size for path in map(self.folder.joinpath, self.files) if path.is_file())

    def changed(self) -> list[str]:
        """Files that are not as they were copied; those that are gone count too."""
        return [name for name, known in self.files.items() if _digest(self.folder / name) != known]


def copies(home: Home) -> list[Copy]:
    """Every copy that the record knows, in the order of their making; raises OutputError for a record that cannot be read."""
    path = home.state / RECORD
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return [_copy(entry) for entry in found["copies"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as fault:
        hint = "Remove that file, and the bridges from their programs by hand."
        raise OutputError(f"The record of installed bridges {path} cannot be read: {fault}.", hint=hint) from fault


def _copy(entry: Mapping[str, Any]) -> Copy:
    return Copy(entry["name"], Path(entry["folder"]), entry["title"], entry["version"], dict(entry["files"]), tuple(entry["made"]))


def install(home: Home, wanted: Copy, content: Mapping[str, bytes]) -> Copy:
    """Put ``content`` below the folder, in the place of an earlier copy there. Overwrites no file of others; raises OutputError."""
    make_private(home.state)
    with statefiles.locked(home.state):
        known = copies(home)
        before = next((copy for copy in known if (copy.name, copy.folder) == (wanted.name, wanted.folder)), None)
        _refuse_strangers(wanted.folder, content, before)
        made = [*(before.made if before else ()), *_missing(wanted.folder, content)]
        try:
            for name, data in content.items():
                _write(wanted.folder / name, data)
            for name in sorted(set(before.files) - set(content)) if before else ():
                _remove_unchanged(wanted.folder / name, before.files[name] if before else "")
        except OSError as fault:
            hint = "Close the program that uses it, or give the folder to yourself, and try again."
            raise OutputError(f"{fault.filename or wanted.folder} cannot be written: {fault.strerror or fault}.", hint=hint) from fault
        digests = {name: digest(data) for name, data in sorted(content.items())}
        copy = Copy(wanted.name, wanted.folder, wanted.title, wanted.version, digests, tuple(dict.fromkeys(made)))
        _store(home, [*(other for other in known if other is not before), copy])
    return copy


def remove(home: Home, gone: Copy) -> list[Path]:
    """Take a copy away and forget it. Files that somebody changed are left, and are what is returned; raises OutputError."""
    left = []
    try:
        for name, known in gone.files.items():
            if not _remove_unchanged(gone.folder / name, known):
                left.append(gone.folder / name)
        for made in reversed(gone.made):
            _tidy(Path(made))
    except OSError as fault:
        hint = "Close the program that uses it, and try again."
        raise OutputError(f"{fault.filename or gone.folder} cannot be removed: {fault.strerror or fault}.", hint=hint) from fault
    with statefiles.locked(home.state):
        _store(home, [copy for copy in copies(home) if (copy.name, copy.folder) != (gone.name, gone.folder)])
    return left


def _store(home: Home, known: Iterable[Copy]) -> None:
    entries = [{**asdict(copy), "folder": str(copy.folder)} for copy in known]
    if entries:
        statefiles.write(home.state / RECORD, {"copies": entries})
    else:
        (home.state / RECORD).unlink(missing_ok=True)


def digest(data: bytes) -> str:
    """The hash that the record holds of a file."""
    return hashlib.sha256(data).hexdigest()


def _digest(path: Path) -> str | None:
    try:
        return digest(path.read_bytes())
    except OSError:
        return None


def _refuse_strangers(folder: Path, content: Mapping[str, bytes], before: Copy | None) -> None:
    ours = before.files if before else {}
    for name, data in content.items():
        path = folder / name
        if os.path.lexists(path) and name not in ours and _digest(path) != digest(data):
            raise OutputError(f"{path} exists already, and Gesso did not put it there.", hint="Move it away, and try again.")


def _missing(folder: Path, content: Mapping[str, bytes]) -> list[str]:
    """The folders that must be made, outermost first."""
    wanted = {parent for name in content for parent in (folder / name).parents}
    return [str(path) for path in sorted(wanted, key=lambda path: len(path.parts)) if not path.is_dir()]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    os.replace(draft, path)


def _remove_unchanged(path: Path, known: str) -> bool:
    """Remove the file if it is still what was copied; whether it is gone."""
    found = _digest(path)
    if found == known:
        path.unlink()
    return found is None or found == known


def _tidy(folder: Path) -> None:
    """Remove a folder that holds nothing any more but what Python compiled of our files."""
    if not folder.is_dir():
        return
    if all(entry.name == "__pycache__" for entry in folder.iterdir()):
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        with contextlib.suppress(OSError):  # a file came meanwhile: the folder is not ours to remove
            folder.rmdir()
