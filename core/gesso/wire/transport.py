"""What every connection to a daemon offers, and the one function that opens it. Which implementation serves is decided here only."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Callable, List, Mapping, Optional, Protocol, Sequence, Tuple, Union

from ..errors import Unauthorised, Unreachable, UsageError
from .zmtp import Null, Plain

LOOPBACK = ("127.0.0.1", "::1")
OPEN_SECONDS = 5.0


@dataclass(frozen=True)
class Curve:
    """CURVE keys, 64 hexadecimal digits each; only libzmq speaks it."""

    server_key: str
    public_key: str
    secret_key: str = field(repr=False)


Credentials = Union[Null, Plain, Curve]


class Wire(Protocol):
    """An open connection. Every method may be called from any thread; its I/O goes on while the host is busy."""

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue one message, and wait where too much is queued; raises what ended the connection, once it has ended."""

    def recv(self, timeout: Optional[float] = None) -> Optional[List[bytes]]:
        """The next message, or None after ``timeout`` seconds; raises what ended the connection, once all that came is taken."""

    def close(self, linger: float = 1.0) -> None:
        """End the connection after at most ``linger`` seconds for what is queued; `recv` then raises Unreachable."""


def open_wire(
    endpoint: str,
    credentials: Credentials,
    *,
    timeout: float = OPEN_SECONDS,
    on_readable: Optional[Callable[[], None]] = None,
    environ: Optional[Mapping[str, str]] = None,
) -> Wire:
    """Dial ``ipc://PATH`` or ``tcp://HOST:PORT`` and shake hands; raises Unreachable, Unauthorised or ProtocolError.

    ``on_readable`` is called from the I/O thread whenever `recv` has something to give or to raise. Our own DEALER serves, unless CURVE is
    asked for or ``GESSO_WIRE=pyzmq`` is set.
    """
    parse_endpoint(endpoint, credentials)
    environ = os.environ if environ is None else environ
    if isinstance(credentials, Curve) or environ.get("GESSO_WIRE") == "pyzmq":
        try:
            from .zmq_dealer import ZmqDealer
        except ImportError as fault:
            name = "CURVE" if isinstance(credentials, Curve) else "GESSO_WIRE=pyzmq"
            raise UsageError(f"{name} needs pyzmq, which cannot be imported here.", hint="Install it with: pip install pyzmq") from fault

        return ZmqDealer.connect(endpoint, credentials, timeout, on_readable)
    from .dealer import Dealer

    return Dealer.connect(endpoint, credentials, timeout, on_readable)


def parse_endpoint(endpoint: str, credentials: Credentials) -> Union[str, Tuple[str, int]]:
    """The path of an ``ipc`` endpoint, or host and port of a ``tcp`` one; refuses a mechanism that would let strangers listen or in."""
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ipc" and rest:
        return rest
    host, _, port = rest.rpartition(":")
    host = host.strip("[]")
    if scheme != "tcp" or not host or not port.isascii() or not port.isdigit():
        raise Unreachable(f"{endpoint!r} is not an endpoint such as ipc:///run/front.sock or tcp://127.0.0.1:50123.")
    if isinstance(credentials, Null):
        raise Unauthorised("tcp needs credentials: PLAIN on loopback, CURVE elsewhere.")
    if isinstance(credentials, Plain) and host not in LOOPBACK:
        raise Unauthorised(f"PLAIN may only be used on loopback, and {host!r} is elsewhere: use CURVE.")
    return host, int(port)
