"""The worker's end of the link: a DEALER owned by one thread, with queues on both sides and heartbeats of its own. It runs no job and never
touches the engine; it only tells how long the engine's loop has not turned.
"""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable

import zmq
from zmq.utils.monitor import recv_monitor_message

from gesso.errors import ProtocolError
from gesso.link.messages import Heartbeat, Message, Shutdown, decode, encode

_log = logging.getLogger(__name__)
USER = "worker"
SECRET_VARIABLE = "GESSO_LINK_SECRET"
_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_LOST = zmq.EVENT_DISCONNECTED | _REFUSED


def take_secret() -> str:
    """The link's secret from the environment, which forgets it so that no child of the worker inherits it."""
    return os.environ.pop(SECRET_VARIABLE)


def die_with_parent() -> None:
    """Linux: the kernel kills this process when the front ends, even while C code holds the interpreter lock.

    Call it in the worker's main thread before anything else; on other systems the loss of the link has to do.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)


class WorkerLink:
    """Connects on construction. ``inbox`` gets every message of the front; a lost front arrives there as `Shutdown` and sets ``lost``.

    ``on_lost`` runs on the link's thread when the front is gone. `send` may be called from any thread and never blocks; `turned` is to be
    called by the engine's loop at every turn (also by an idle one, at least once a second).
    """

    def __init__(self, endpoint: str, secret: str, *, heartbeat: float = 0.5, on_lost: Callable[[], None] | None = None) -> None:
        self.inbox: queue.Queue[Message] = queue.Queue()
        self.lost = threading.Event()
        self._outgoing: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._heartbeat = heartbeat
        self._on_lost = on_lost
        self._last_turn = time.monotonic()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._closed = False
        self._lock = threading.Lock()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._thread = threading.Thread(target=self._run, args=(endpoint, secret), name="gesso-link", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Queue a message for the front; after `close` or loss it goes nowhere."""
        self._outgoing.put(message)
        self._wake()

    def turned(self) -> None:
        """The engine's loop has just turned."""
        self._last_turn = time.monotonic()

    def close(self, timeout: float = 5.0) -> None:
        """Send what is queued, then disconnect; idempotent."""
        self._outgoing.put(None)
        self._wake()
        self._thread.join(timeout)

    def _wake(self) -> None:
        with self._lock:
            if not self._closed:
                try:
                    os.write(self._wake_write, b".")
                except BlockingIOError:
                    return  # the pipe is full of wake-ups already

    def _run(self, endpoint: str, secret: str) -> None:
        socket = self._context.socket(zmq.DEALER)
        socket.plain_username = USER.encode()
        socket.plain_password = secret.encode()
        socket.sndhwm = socket.rcvhwm = 0  # what the front does not take yet waits here: it is the front's memory that must stay small
        monitor = socket.get_monitor_socket(_LOST)
        socket.connect(endpoint)
        try:
            self._serve(socket, monitor)
        finally:
            socket.disable_monitor()
            monitor.close(linger=0)
            socket.close(linger=0 if self.lost.is_set() else 2000)
            self._context.term()
            with self._lock:
                self._closed = True
                os.close(self._wake_read)
                os.close(self._wake_write)

    def _serve(self, socket: zmq.Socket[bytes], monitor: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        for source in (socket, monitor, self._wake_read):
            poller.register(source, zmq.POLLIN)
        due = time.monotonic() + self._heartbeat
        while True:
            ready = dict(poller.poll(max(0, int((due - time.monotonic()) * 1000))))
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            if monitor in ready:
                recv_monitor_message(monitor)
                self._lose()
                return
            if socket in ready:
                self._receive(socket)
            if not self._flush(socket):
                return
            if time.monotonic() >= due:
                socket.send_multipart(encode(Heartbeat(stalled=round(time.monotonic() - self._last_turn, 3))))
                due = time.monotonic() + self._heartbeat

    def _receive(self, socket: zmq.Socket[bytes]) -> None:
        frames = socket.recv_multipart()
        try:
            self.inbox.put(decode(frames))
        except ProtocolError:
            _log.exception("the front sent a message that cannot be read; it is ignored")

    def _flush(self, socket: zmq.Socket[bytes]) -> bool:
        while True:
            try:
                message = self._outgoing.get_nowait()
            except queue.Empty:
                return True
            if message is None:
                return False
            socket.send_multipart(encode(message), copy=False)

    def _lose(self) -> None:
        self.lost.set()
        self.inbox.put(Shutdown())
        if self._on_lost is not None:
            self._on_lost()
