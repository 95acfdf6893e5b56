"""Finds the running daemon, dials it, proves it and says hello. What comes out is a connection that may be used; it starts nothing."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Union

from ..errors import GessoError, ProtocolError, Unauthorised, Unreachable, UsageError, VersionMismatch
from ..wire import auth, discovery
from ..wire.discovery import DaemonInfo
from ..wire.home import Home, check_private
from ..wire.message import PACKAGE_VERSION, PROTOCOL_VERSION, Message, check_answer, decode, encode
from ..wire.transport import OPEN_SECONDS, Credentials, Wire, open_wire
from ..wire.zmtp import Null, Plain
from .remote import Remote

TRANSPORTS = ("ipc", "tcp")
HomeLike = Union[Home, str, "os.PathLike[str]"]
_HINT = "Start one with: gesso serve --detach"


@dataclass(frozen=True)
class Opened:
    """A connection after `welcome`. ``nonce``: what ``nonce_file`` holds, where the daemon sees our file system."""

    wire: Wire
    info: DaemonInfo
    welcome: Mapping[str, Any]
    nonce: Optional[str]


@dataclass(frozen=True)
class Place:
    """Where to look for the daemon and how to introduce ourselves. ``transport``: ipc, tcp, or None for the better one; ``remote`` None:
    the daemon of ``home``, on this machine.
    """

    home: Home
    transport: Optional[str]
    name: str
    remote: Optional[Remote] = None

    @staticmethod
    def find(home: Optional[HomeLike], transport: Optional[str], name: str) -> "Place":
        """From what a host gave, the environment, and the platform; raises UsageError."""
        transport = transport or os.environ.get("GESSO_TRANSPORT") or None
        if transport is not None and transport not in TRANSPORTS:
            raise UsageError(f"The transport is one of {', '.join(TRANSPORTS)}, not {transport!r}.", field="transport")
        if not isinstance(home, Home):
            home = Home.find(None if home is None else Path(home))
        return Place(home, transport, name)

    @staticmethod
    def anywhere(home: Optional[HomeLike], transport: Optional[str], name: str, address: Union[str, Remote, None]) -> "Place":
        """The same, or a remote daemon where ``address`` or, where nothing here was asked for, the environment names one."""
        place = Place.find(home, transport, name)
        here = home is not None or transport is not None
        return replace(place, remote=None if here and address is None else Remote.find(address))


def open_connection(place: Place, *, timeout: float = OPEN_SECONDS, on_readable: Optional[Callable[[], None]] = None) -> Opened:
    """Reach the remote daemon, or the one that `daemon.json` speaks of; raises Unreachable, Unauthorised, VersionMismatch, ..."""
    if place.remote is not None:
        return _open_remote(place, place.remote, timeout, on_readable)
    info = discovery.read(place.home)
    if info is None:
        raise Unreachable("No daemon is running.", hint=_HINT)
    if info.protocol != PROTOCOL_VERSION:
        raise _mismatch(info, f"daemon.json speaks of version {info.protocol}.")
    endpoint = _endpoint(place, info)
    nonce: Optional[str] = None
    credentials: Credentials = Null()
    if endpoint == info.tcp:
        if info.token is None or not auth.is_token(info.token):
            raise Unreachable("daemon.json has no token for tcp.", hint="Stop the daemon and start it again.")
        nonce = auth.new_nonce()
        credentials = Plain(nonce, auth.client_proof(info.token, nonce, endpoint))
    else:
        _check_socket(endpoint)
    deadline = time.monotonic() + timeout
    wire = open_wire(endpoint, credentials, timeout=timeout, on_readable=on_readable)
    try:
        welcome = _hello(wire, place.name, nonce, deadline)
        if nonce is not None and info.token is not None:
            _prove_daemon(welcome, info.token, nonce, endpoint)
    except VersionMismatch as fault:
        wire.close(linger=0.0)
        raise _mismatch(info, fault.message) from fault
    except GessoError:
        wire.close(linger=0.0)
        raise
    return Opened(wire, info, welcome, _read_nonce(welcome))


def _open_remote(place: Place, remote: Remote, timeout: float, on_readable: Optional[Callable[[], None]]) -> Opened:
    """CURVE has proved the daemon before the first byte; its files are not ours, so images travel over the connection."""
    deadline = time.monotonic() + timeout
    credentials = remote.credentials(place.home)
    try:
        wire = open_wire(remote.address, credentials, timeout=timeout, on_readable=on_readable)
    except Unreachable as fault:
        there = "Start one there with: gesso serve --listen tcp://HOST:PORT"
        raise Unreachable(fault.message, hint=there if fault.hint == _HINT else fault.hint) from fault
    try:
        welcome = _hello(wire, place.name, None, deadline)
    except GessoError:
        wire.close(linger=0.0)
        raise
    info = DaemonInfo(PROTOCOL_VERSION, str(welcome["version"]), int(welcome["pid"]), None, None, None, remote.address)
    return Opened(wire, info, welcome, None)


def _endpoint(place: Place, info: DaemonInfo) -> str:
    choices = {"ipc": info.ipc, "tcp": info.tcp}
    wanted = [place.transport] if place.transport else list(TRANSPORTS)
    for name in wanted:
        endpoint = choices[name]
        if endpoint is not None:
            return endpoint
    hint = "Stop it, then start it with: gesso serve --detach --tcp" if place.transport == "tcp" else None
    raise UsageError(f"The daemon (process {info.pid}) does not listen on {' or '.join(wanted)}.", field="transport", hint=hint)


def _check_socket(endpoint: str) -> None:
    """A local socket proves its owner by the directory it lies in, which may be a short one under the temporary directory."""
    folder = Path(endpoint.split("://", 1)[-1]).parent
    if os.path.lexists(folder):
        check_private(folder)


def _hello(wire: Wire, name: str, nonce: Optional[str], deadline: float) -> Mapping[str, Any]:
    header = {"type": "hello", "id": "hello", "client": name, "version": PACKAGE_VERSION, "protocol": [PROTOCOL_VERSION]}
    wire.send(encode({**header, "nonce": nonce} if nonce else header))
    message = _first_answer(wire, deadline)
    if message.type == "error":
        raise GessoError.from_wire(message.header.get("error") or {})
    if message.type != "welcome":
        raise ProtocolError(f"The daemon answered `hello` with `{message.type}`.")
    check_answer(message.header)
    if message.header["protocol"] != PROTOCOL_VERSION:
        raise VersionMismatch(f"It answered in version {message.header['protocol']} of the protocol.")
    return message.header


def _first_answer(wire: Wire, deadline: float) -> Message:
    while True:
        frames = wire.recv(max(0.0, deadline - time.monotonic()))
        if frames is None:
            raise Unreachable(
                "A daemon listens, but does not answer.", hint="Stop it with `gesso stop`, or end its process, and start it again."
            )
        message = decode(frames)
        if message.header.get("re") == "hello":
            return message


def _prove_daemon(welcome: Mapping[str, Any], token: str, nonce: str, endpoint: str) -> None:
    if not auth.matches(str(welcome.get("proof") or ""), auth.daemon_proof(token, nonce, endpoint)):
        raise Unauthorised(
            f"What listens at {endpoint} could not prove that it is your daemon; nothing was sent to it.",
            hint="Stop the daemon and start it again, which takes a new port.",
        )


def _mismatch(info: DaemonInfo, said: str) -> VersionMismatch:
    return VersionMismatch(
        f"The running daemon (Gesso {info.version}, process {info.pid}) speaks another version of the protocol than this client"
        f" (Gesso {PACKAGE_VERSION}, version {PROTOCOL_VERSION}): {said}",
        hint=f"Let its jobs end, stop it with `gesso stop` of its own version or `kill {info.pid}`, and start it again.",
    )


def _read_nonce(welcome: Mapping[str, Any]) -> Optional[str]:
    """What ``nonce_file`` holds, if its hash is the one announced: then both sides see the same files."""
    path, expected = welcome.get("nonce_file"), welcome.get("nonce_sha256")
    if not path or not expected:
        return None
    try:
        with open(path, "rb") as file:
            raw = file.read(4096)
        return raw.decode("ascii") if hashlib.sha256(raw).hexdigest() == expected else None
    except (OSError, ValueError):
        return None
