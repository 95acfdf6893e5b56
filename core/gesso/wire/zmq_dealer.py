"""The same DEALER on libzmq, for CURVE and for those who ask for it with ``GESSO_WIRE=pyzmq``. Needs pyzmq; imported only then."""

from __future__ import annotations

import socket
import time
from typing import Any, Callable, Dict, List, Optional

import zmq
from zmq.utils.monitor import parse_monitor_message

from ..errors import GessoError, Unauthorised, Unreachable
from .message import LIMITS
from .queued import HEARTBEAT_SECONDS, SILENCE_SECONDS, TTL_SECONDS, QueuedWire, unreachable
from .transport import Credentials, Curve
from .zmtp import Plain

_REFUSED = (zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
_LOST = (zmq.EVENT_DISCONNECTED, zmq.EVENT_CLOSED)
_WATCHED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | _REFUSED[0] | _REFUSED[1] | _REFUSED[2]


class ZmqDealer(QueuedWire):
    """An open connection; see `transport.Wire`. libzmq would dial again by itself: that is switched off."""

    def __init__(self, endpoint: str, on_readable: Optional[Callable[[], None]]) -> None:
        super().__init__(on_readable)
        self._endpoint = endpoint
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.DEALER)
        self._monitor = self._socket.get_monitor_socket(_WATCHED)

    @classmethod
    def connect(
        cls, endpoint: str, credentials: Credentials, timeout: float, on_readable: Optional[Callable[[], None]] = None
    ) -> "ZmqDealer":
        """Dial and shake hands within ``timeout`` seconds; raises Unreachable or Unauthorised."""
        dealer = cls(endpoint, on_readable)
        try:
            dealer._dial(credentials, timeout)
            dealer._shake_hands(credentials, time.monotonic() + timeout)
        except zmq.ZMQError as fault:
            dealer._release()
            raise unreachable(endpoint, fault) from fault
        except GessoError:
            dealer._release()
            raise
        dealer._thread.start()
        return dealer

    def _dial(self, credentials: Credentials, timeout: float) -> None:
        for option, value in _options(timeout).items():
            self._socket.setsockopt(option, value)
        if isinstance(credentials, Plain):
            self._socket.plain_username = credentials.user.encode()
            self._socket.plain_password = credentials.password.encode()
        elif isinstance(credentials, Curve):
            self._socket.curve_serverkey = bytes.fromhex(credentials.server_key)
            self._socket.curve_publickey = bytes.fromhex(credentials.public_key)
            self._socket.curve_secretkey = bytes.fromhex(credentials.secret_key)
        self._socket.connect(self._endpoint)

    def _shake_hands(self, credentials: Credentials, deadline: float) -> None:
        while True:
            if not self._monitor.poll(max(1, int((deadline - time.monotonic()) * 1000))):
                raise unreachable(self._endpoint, socket.timeout())
            event = self._happened()
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH and isinstance(credentials, Curve):
                hint = "On its machine `gesso keys list` shows who is let in, and `gesso keys authorize` adds a key."
                raise Unauthorised(f"The daemon at {self._endpoint} does not let us in: our key is not authorised there.", hint=hint)
            if event in (*_REFUSED, zmq.EVENT_DISCONNECTED) and isinstance(credentials, Curve):
                hint = "On its machine `gesso keys list` shows the daemon's key."
                raise Unreachable(f"What listens at {self._endpoint} is leaving, or has another key than the daemon we know.", hint=hint)
            if event in _REFUSED:
                raise Unauthorised("The daemon refused the connection.")
            if event in _LOST:
                raise Unreachable(f"No daemon can be reached at {self._endpoint}.", hint="Start one with: gesso serve --detach")

    def _happened(self) -> int:
        return int(parse_monitor_message(self._monitor.recv_multipart())["event"])

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._awake.fileno(), zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        waiting: Optional[List[bytes]] = None
        while not self._over:
            waiting = self._write(waiting)
            poller.register(self._socket, (zmq.POLLIN if self._hungry else 0) | (zmq.POLLOUT if waiting else 0))
            ready: Dict[Any, int] = dict(poller.poll())
            if self._awake.fileno() in ready:
                self._slept()
            if ready.get(self._socket, 0) & zmq.POLLIN:
                self._deliver(self._socket.recv_multipart())
            elif self._monitor in ready and self._happened() in _LOST:
                self._drain()
                self._lose(Unreachable("The other side closed the connection."))

    def _write(self, waiting: Optional[List[bytes]]) -> Optional[List[bytes]]:
        """Send what there is; gives the message that libzmq has no room for yet."""
        while True:
            waiting = self._next() if waiting is None else waiting
            if waiting is None:
                return None
            try:
                self._socket.send_multipart(waiting, zmq.NOBLOCK)
            except zmq.Again:
                return waiting
            self._sent(sum(map(len, waiting)))
            waiting = None

    def _drain(self) -> None:
        while self._socket.poll(0):
            self._deliver(self._socket.recv_multipart())

    def _release(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close()
        self._context.term()
        super()._release()


def _options(timeout: float) -> Dict[int, int]:
    milliseconds = 1000
    return {
        zmq.LINGER: milliseconds,
        zmq.IMMEDIATE: 1,
        zmq.RECONNECT_IVL: -1,
        zmq.MAXMSGSIZE: LIMITS["frame_bytes"],
        zmq.HANDSHAKE_IVL: max(1, int(timeout * milliseconds)),
        zmq.HEARTBEAT_IVL: int(HEARTBEAT_SECONDS * milliseconds),
        zmq.HEARTBEAT_TIMEOUT: int(SILENCE_SECONDS * milliseconds),
        zmq.HEARTBEAT_TTL: int(TTL_SECONDS * milliseconds),
        zmq.SNDHWM: 64,
        zmq.RCVHWM: 64,
    }
