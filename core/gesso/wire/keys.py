"""CURVE keys as files: the pairs that are ours, and the public keys of others that may come in. It connects to nobody.

``NAME.pair`` holds a pair, ``NAME.authorised`` a public key that the daemon lets in; keys are written as 64 hexadecimal digits, because
Z85 is full of characters that shells understand. One file a key, made and removed whole, so that no two programs can undo each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List

from ..errors import InvalidRequest, UnsafeState, UsageError
from .home import Home, check_private, make_private

DAEMON = "daemon"
DEFAULT = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")
_KEY = re.compile(r"[0-9a-f]{64}\Z")
_PAIR, _AUTHORISED = ".pair", ".authorised"


@dataclass(frozen=True)
class Pair:
    """A key of ours."""

    public: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Authorised:
    """A key that may come in; its jobs belong to ``principal``."""

    name: str
    public: str

    @property
    def principal(self) -> str:
        """Who its jobs belong to."""
        return principal(self.public)


def principal(public: str) -> str:
    """The key's name in the journal: it stays with the key, whatever the owner calls it."""
    return "key-" + hashlib.sha256(bytes.fromhex(public)).hexdigest()[:32]


def check_key(text: str, label: str = "key") -> str:
    """A public key as it was typed -> as it is compared; raises InvalidRequest."""
    if not _KEY.match(text.strip().lower()):
        raise InvalidRequest("A public key is 64 hexadecimal digits, as `gesso keys new` prints them.", field=label)
    return text.strip().lower()


def check_name(name: str) -> str:
    """A name that is fit for a file on every system; raises InvalidRequest."""
    if not _NAME.match(name):
        raise InvalidRequest(f"{name!r} is no name for a key: lower-case letters, digits, hyphens, underscores, at most 64.", field="name")
    return name


def new_pair(home: Home, name: str) -> Pair:
    """Make a pair and write it where only its owner can read it; raises UsageError where the name is taken."""
    try:
        from zmq import curve_keypair
        from zmq.utils import z85
    except ImportError as fault:
        raise UsageError("Making keys needs pyzmq, which cannot be imported here.", hint="Install it with: pip install pyzmq") from fault
    public, secret = (z85.decode(key).hex() for key in curve_keypair())
    path = _file(home, check_name(name), _PAIR)
    if not _create(path, json.dumps({"public": public, "secret": secret})):
        raise UsageError(f"There is a key {name!r} already.", field="name", hint="Choose another name; a key is never overwritten.")
    return Pair(public, secret)


def read_pair(path: Path) -> Pair:
    """A pair of ours; raises UnsafeState where others could read it, UsageError where there is none."""
    if not os.path.lexists(path):
        raise UsageError(f"There is no key {path}.", field="key", hint="Make one with: gesso keys new")
    check_private(path)
    try:
        found = json.loads(path.read_bytes())
        return Pair(_digits(found["public"]), _digits(found["secret"]))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise UsageError(f"The key {path} cannot be read.", field="key", hint="Restore it from a copy, or make another.") from fault


def pair_path(home: Home, name: str) -> Path:
    """Where a pair lies: a name means one of this home, anything with a slash is a path."""
    return Path(name).expanduser() if "/" in name or os.sep in name else _file(home, check_name(name), _PAIR)


def daemon_pair(home: Home) -> Pair:
    """The daemon's own pair, made when it is first asked for."""
    path = pair_path(home, DAEMON)
    if not os.path.lexists(path):
        try:
            return new_pair(home, DAEMON)
        except UsageError:
            if not os.path.lexists(path):
                raise  # else another program was faster
    return read_pair(path)


def pairs(home: Home) -> Dict[str, str]:
    """The public keys of our pairs by their names."""
    return {name: read_pair(_file(home, name, _PAIR)).public for name in _names(home, _PAIR)}


def authorised(home: Home) -> List[Authorised]:
    """Every key that may come in. A file that holds no key lets nobody in."""
    found: List[Authorised] = []
    for name in _names(home, _AUTHORISED):
        path = _file(home, name, _AUTHORISED)
        try:
            check_private(path)
            public = path.read_text(encoding="ascii").strip()
        except (OSError, ValueError, UnsafeState):
            continue
        if _KEY.match(public):
            found.append(Authorised(name, public))
    return found


def authorise(home: Home, name: str, public: str) -> Authorised:
    """Let a key in; raises UsageError where the name is taken or the key is in already."""
    new = Authorised(check_name(name), check_key(public))
    known = next((other for other in authorised(home) if other.public == new.public), None)
    if known is not None:
        raise UsageError(f"This key is authorised already, as {known.name!r}.", field="key")
    if not _create(_file(home, new.name, _AUTHORISED), new.public):
        raise UsageError(f"Another key is authorised as {name!r}.", field="name", hint="Choose another name, or revoke that key first.")
    return new


def revoke(home: Home, name: str) -> str:
    """Let a key, by its name or its digits, in no more; gives its name. Raises UsageError."""
    known = authorised(home)
    found = next((key.name for key in known if name.lower() == key.public), name)
    if not _NAME.match(found) or not os.path.lexists(_file(home, found, _AUTHORISED)):
        names = ", ".join(key.name for key in known) or "none"
        raise UsageError(f"No key is authorised as {name!r}.", field="name", hint=f"Authorised are: {names}.")
    os.unlink(_file(home, found, _AUTHORISED))
    return found


def _file(home: Home, name: str, suffix: str) -> Path:
    return home.keys / (name + suffix)


def _names(home: Home, suffix: str) -> List[str]:
    if not os.path.lexists(home.keys):
        return []
    check_private(home.keys)
    return sorted(name[: -len(suffix)] for name in os.listdir(home.keys) if name.endswith(suffix) and _NAME.match(name[: -len(suffix)]))


def _create(path: Path, text: str) -> bool:
    """Write a new file that only its owner can read, on disk when this returns; False where it exists."""
    for folder in (path.parent.parent, path.parent):  # the state directory too: this may be the first thing in it
        make_private(folder)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    return True


def _digits(text: str) -> str:
    if not _KEY.match(text):
        raise ValueError("no key")
    return text
