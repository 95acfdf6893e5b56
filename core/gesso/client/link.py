"""Keeps one session connected: a thread that receives, sends again, dials again and, where that was asked for, starts a daemon again."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, List, Mapping, Optional

from ..errors import GessoError, StartFailed, Unauthorised, Unreachable, VersionMismatch
from ..wire import discovery
from ..wire.message import decode
from .opening import Opened, Place, open_connection
from .session import ANSWER_SECONDS, Frames, Request, Session
from .start import is_passing, launch
from .upgrade import renew

PATIENCE_SECONDS = 30.0
COMING_SECONDS = 10.0
_TICK_SECONDS = 0.5
_FIRST_DELAY, _LONGEST_DELAY = 0.05, 2.0


class Link:
    """The session's only owner. Its methods may be called from any thread."""

    def __init__(self, place: Place, opened: Opened, *, restart: bool, on_start: Callable[[str], None]) -> None:
        self._place = place
        self._restart = restart
        self._on_start = on_start
        self._session = Session()
        self._changed = threading.Condition(threading.RLock())
        self._opened: Optional[Opened] = opened
        self._newest = opened
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="gesso-client", daemon=True)
        self._thread.start()

    @property
    def opened(self) -> Opened:
        """The newest connection; it may be lost already."""
        return self._newest

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._opened is not None

    def request(self, kind: str, fields: Mapping[str, Any], payload: bytes = b"", seconds: float = ANSWER_SECONDS) -> Request:
        """Ask something; the answer comes through the request's future. What cannot be sent now is sent when the daemon is back."""
        with self._changed:
            if self._closed:
                raise Unreachable("This client is closed.")
            request = self._session.request(kind, fields, payload, now=time.monotonic(), seconds=seconds)
            opened = self._opened
            if opened is None and request.once:
                self._session.lost()
            self._changed.notify_all()
        if opened is not None:
            self._send(opened, [request.frames])
        return request

    def drop_stream(self, job: str) -> None:
        """Its events are wanted no more."""
        with self._changed:
            self._session.drop_stream(job)

    def close(self) -> None:
        """End the connection; what waits fails."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            opened = self._opened
            self._changed.notify_all()
        if opened is not None:
            opened.wire.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        try:
            while not self._closed:
                if self._opened is not None:
                    self._receive(self._opened)
                elif self._wanted():
                    self._dial_again()
        finally:
            with self._changed:
                self._closed = True
                self._session.give_up(Unreachable("This client is closed."))

    def _wanted(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._session.needed)
            return not self._closed

    def _receive(self, opened: Opened) -> None:
        try:
            frames = opened.wire.recv(_TICK_SECONDS)
        except GessoError:
            self._lost()
            return
        try:
            with self._changed:
                if frames is not None:
                    self._session.feed(decode(frames))
                again = self._session.due(time.monotonic())
        except GessoError as fault:
            self._give_up(fault)
            return
        self._send(opened, again)

    def _lost(self) -> None:
        with self._changed:
            self._opened = None
            self._session.lost()

    def _give_up(self, fault: GessoError) -> None:
        with self._changed:
            opened, self._opened = self._opened, None
            self._session.give_up(fault)
        if opened is not None:
            opened.wire.close(linger=0.0)

    def _dial_again(self) -> None:
        """Until the daemon is back, or patience ends; then all that waits fails, and the next request tries anew."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        delay = _FIRST_DELAY
        while not self._closed:
            try:
                opened = self._dial()
            except StartFailed as fault:
                self._give_up(fault)
                return
            except (Unreachable, Unauthorised) as fault:
                if isinstance(fault, Unauthorised) and self._place.remote is not None:  # a key does not change with a restart
                    self._give_up(fault)
                    return
                if time.monotonic() >= deadline:
                    self._give_up(_kept(fault))
                    return
            except GessoError as fault:
                self._give_up(fault)
                return
            else:
                self._connected(opened)
                return
            with self._changed:
                self._session.due(time.monotonic())
                self._changed.wait_for(lambda: self._closed or not self._session.needed, delay)
                if not self._session.needed:
                    return
            delay = min(2 * delay, _LONGEST_DELAY)

    def _dial(self) -> Opened:
        """One attempt. A daemon that crashed is started again; one that was stopped, only for a new request."""
        home = self._place.home
        info = discovery.read(home)
        if self._restart and (info is not None or self._session.asking) and not discovery.is_owned(home):
            self._on_start("the daemon is gone, starting one")
            return launch(self._place)
        return open_connection(self._place)

    def _connected(self, opened: Opened) -> None:
        with self._changed:
            if self._closed:
                opened.wire.close(linger=0.0)
                return
            self._opened = self._newest = opened
            waiting: List[Frames] = self._session.opened(time.monotonic())
        self._send(opened, waiting)

    @staticmethod
    def _send(opened: Opened, messages: List[Frames]) -> None:
        """Send; a connection that broke is noticed where it is read, and everything is sent again on the next."""
        for frames in messages:
            try:
                opened.wire.send(frames)
            except Unreachable:
                return


def _kept(fault: GessoError) -> Unreachable:
    return Unreachable(f"{fault.message} What it had accepted is kept.", hint=fault.hint)


def first_connection(place: Place, *, start: bool, on_start: Callable[[str], None]) -> Opened:
    """Connect; with ``start``, to one that is started where none owns the state. Raises Unreachable, StartFailed, VersionMismatch, ..."""
    deadline = time.monotonic() + COMING_SECONDS
    while True:
        try:
            opened = open_connection(place)
            return renew(place, opened, on_start) if start else opened
        except GessoError as fault:
            if not start or not is_passing(fault):
                raise
            if discovery.is_owned(place.home):
                if isinstance(fault, VersionMismatch) or time.monotonic() >= deadline:
                    raise
                time.sleep(_FIRST_DELAY)
                continue
        on_start("no daemon is running, starting one")
        return launch(place)
