"""The live connections of one ROUTER: how much each has sent that was not delivered, and how to cut one. It looks into no message.

A ROUTER has no call that disconnects a peer. libzmq tells the descriptor of each connection, by its monitor and beside each message;
shutting down a duplicate of it ends the connection as a broken network would, and frees what libzmq held for it.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import parse_monitor_message

from gesso.link.loop import LoopSocket

_TCP_INFO_BYTES = 136  # up to and with tcpi_bytes_received, which is a u64 at 128 (linux/tcp.h, since 4.1)
_log = logging.getLogger(__name__)


@dataclass
class _Connection:
    """``inode`` tells whether the descriptor still is this connection's."""

    inode: int
    delivered: int = 0


class Connections:
    """Made before the socket is bound, so that no connection is missed."""

    def __init__(self, router: zmq.Socket[bytes]) -> None:
        self._router = router
        self._open: dict[int, _Connection] = {}
        self._routes: dict[bytes, int] = {}
        monitor = router.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._monitor = LoopSocket(monitor, self._happened)

    def __len__(self) -> int:
        return len(self._open)

    def heard(self, route: bytes, frames: Sequence[zmq.Frame]) -> None:
        """A message was delivered."""
        try:
            descriptor = int(frames[-1].get("__fd"))
        except zmq.ZMQError:
            return  # a platform that does not tell: such a connection is only ever ended by its peer
        self._routes[route] = descriptor
        if descriptor in self._open:
            self._open[descriptor].delivered += sum(map(len, frames))

    def cut(self, route: bytes) -> None:
        """End the connection that messages of this route came over; harmless where it is gone."""
        descriptor = self._routes.pop(route, None)
        if descriptor is not None:
            self._shut(descriptor)

    def cut_heaviest(self, least: int) -> int:
        """End the connection with the most bytes that came and were not delivered, if they are ``least`` or more; how many were ended.

        What a local connection has sent cannot be asked for: those are all ended, and all are the owner's own.
        """
        backlog = {descriptor: self._undelivered(descriptor) for descriptor in self._open}
        victims = [descriptor for descriptor, size in backlog.items() if size is None]
        known = {descriptor: size for descriptor, size in backlog.items() if size is not None and size >= least}
        if known:
            victims.append(max(known, key=known.__getitem__))
        for descriptor in victims:
            self._shut(descriptor)
        return len(victims)

    def close(self) -> None:
        """Watch no longer."""
        self._monitor.close(0)
        self._router.disable_monitor()

    def _happened(self, frames: list[zmq.Frame]) -> None:
        event = parse_monitor_message([frame.bytes for frame in frames])
        descriptor = int(event["value"])
        if event["event"] == zmq.EVENT_DISCONNECTED:
            self._open.pop(descriptor, None)
            self._routes = {route: other for route, other in self._routes.items() if other != descriptor}
            return
        try:
            self._open[descriptor] = _Connection(os.fstat(descriptor).st_ino)
        except OSError:
            return  # it has gone already

    def _undelivered(self, descriptor: int) -> int | None:
        """Bytes that came over this connection less those delivered; None where the system does not count them."""
        with _duplicate(descriptor) as peer:
            if peer.family not in (socket.AF_INET, socket.AF_INET6) or sys.platform != "linux":
                return None
            info = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        if len(info) < _TCP_INFO_BYTES:
            return None
        return int(struct.unpack_from("=Q", info, 128)[0]) - self._open[descriptor].delivered

    def _shut(self, descriptor: int) -> None:
        connection = self._open.pop(descriptor, None)
        try:
            if connection is None or os.fstat(descriptor).st_ino != connection.inode:
                return
            with _duplicate(descriptor) as peer:
                peer.shutdown(socket.SHUT_RDWR)
        except OSError as fault:
            _log.info("a connection was gone before it could be ended", extra={"fault": str(fault)})


def _duplicate(descriptor: int) -> socket.socket:
    return socket.socket(fileno=os.dup(descriptor))
