"""A libzmq ROUTER with an enforced ZAP domain, on a thread: the other end in the conformance tests. It echoes every message."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import zmq

from gesso.wire import auth
from gesso.wire.message import LIMITS

TOKEN = "ab" * 32


class Router:
    """Echoes over ipc (NULL) or loopback tcp (PLAIN); ``admitted`` lists the ZAP verdicts."""

    def __init__(self, transport: str, folder: Path, **options: Any) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.admitted: list[tuple[bytes, bool]] = []
        self.seen: set[str] = set()
        self.paused = threading.Event()
        self._zap = self.context.socket(zmq.REP)
        self._zap.bind("inproc://zeromq.zap.01")
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        self.socket.setsockopt(zmq.MAXMSGSIZE, LIMITS["frame_bytes"])
        self.socket.zap_domain = transport.encode()
        for name, value in options.items():
            setattr(self.socket, name, value)
        if transport == "tcp":
            self.socket.plain_server = True
        self._stop = self.context.socket(zmq.PAIR)
        self._stop.bind("inproc://stop")
        self._stopper = self.context.socket(zmq.PAIR)
        self._stopper.connect("inproc://stop")
        self.thread = threading.Thread(target=self._run)
        self.endpoint = f"ipc://{folder}/r.sock"
        if transport == "tcp":
            port = self.socket.bind_to_random_port("tcp://127.0.0.1")
            self.endpoint = f"tcp://127.0.0.1:{port}"
        else:
            self.socket.bind(self.endpoint)
        self.thread.start()

    def _run(self) -> None:
        poller = zmq.Poller()
        for socket in (self._zap, self.socket, self._stop):
            poller.register(socket, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._stop in ready:
                break
            if self._zap in ready:
                self._judge()
            if self.socket in ready and not self.paused.is_set():
                self.socket.send_multipart(self.socket.recv_multipart())
        for socket in (self._zap, self.socket, self._stop):
            socket.close(linger=0)

    def _judge(self) -> None:
        version, request, _domain, _address, _identity, mechanism, *given = self._zap.recv_multipart()
        good = mechanism == b"NULL"
        if mechanism == b"PLAIN":
            user, password = given[0].decode(), given[1].decode()
            good = user not in self.seen and auth.matches(password, auth.client_proof(TOKEN, user, self.endpoint))
            self.seen.add(user)
        self.admitted.append((mechanism, good))
        self._zap.send_multipart([version, request, b"200" if good else b"400", b"OK" if good else b"No", b"someone", b""])

    def close(self) -> None:
        self._stopper.send(b"")
        self.thread.join()
        self._stopper.close(linger=0)
        self.context.term()
