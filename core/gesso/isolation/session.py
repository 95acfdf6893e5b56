"""The worker's end of one process of an isolated plugin: one use of it, a sampler's run, a schedule, or one operation of one job. A fault
of the process, and a silence of it, is that use's fault alone. Several threads may wait for answers at once; the engine's waits next to
nothing: what does not answer at once is waited for beside it, by yielding a `Wait`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Any, Literal

from gesso.engine import CallError, Host, Wait
from gesso.errors import PluginError
from gesso.isolation.codec import Decoder, Encoder
from gesso.link.isolated import Answer, Asked, Close, Raised, Resume, Returned, Start, Work, Yielded
from gesso.link.messages import Message
from gesso.link.pipe import Pipe, PipeClosed
from gesso.math import Noise

_log = logging.getLogger(__name__)
HOST_LIMIT = 600.0
"""Seconds that a host function may take."""
SOON = 0.005
"""Seconds that the engine's loop waits for an answer itself: most steps take less, and a thread for each would cost them more."""
Ask = Callable[[str, Any], Any]
"""``ask(method, arguments)``: answers the plugin's use of its context. ``operation`` is answered with a generator."""


End = Literal["done", "died", "silent"]


class Kept:
    """The value of a host function, which stayed over there."""

    def __init__(self, number: int) -> None:
        self.number = number


class _Delegated:
    """A generator of this process that the plugin waits for."""

    def __init__(self, generator: Generator[Any, Any, Any]) -> None:
        self.generator = generator


class Session:
    """``end(how)`` is called once, when the process is not needed any more; it returns what is known of its end. ``noise``: what the
    sampler over there draws from a copy of.
    """

    def __init__(self, plugin: str, pipe: Pipe, limit: float, end: Callable[[End], str], ask: Ask | None) -> None:
        self.plugin = plugin
        self.noise: Noise | None = None
        self._ask = ask
        self._pipe = pipe
        self._limit = limit
        self._end = end
        self._calls = 0
        self._arrived: dict[int, deque[Message]] = {}
        self._reading = False
        self._over: str | None = None
        self._turn = threading.Condition()
        self._leaving = 0
        self._dismissed = False

    def request(self, make: Callable[[int], Message], limit: float | None = None) -> Message:
        """Send a request and wait for what answers it; PluginError where the process ends or stays silent."""
        call = self._numbered()
        self._send(make(call))
        return self._answered(call, limit or self._limit)

    def patiently(self, make: Callable[[int], Message]) -> Generator[Any, Any, Message]:
        """The same for a generator in the engine, whose loop goes on with other jobs meanwhile."""
        if self._arrived:  # the process is at something: even sending might have to wait
            found = yield Wait(_caught, (self.request, make))
        else:
            call = self._numbered()
            with contextlib.suppress(PipeClosed):  # whoever waits for the answer finds out why
                self._pipe.send(make(call))
            found = self._soon(call)
            if found is None:
                found = yield Wait(_caught, (self._answered, call, self._limit))
        if isinstance(found, BaseException):
            raise found
        message: Message = found
        return message

    def start(self, what: str, name: str, value: Any) -> Message:
        """Begin what the process is for."""
        return self.request(_start(what, name, value))

    def started(self, what: str, name: str, value: Any) -> Generator[Any, Any, Message]:
        """The same for a generator in the engine."""
        return (yield from self.patiently(_start(what, name, value)))

    def result(self, message: Message) -> Any:
        """What a call returned; what it raised is raised here."""
        if isinstance(message, Raised):
            fault: BaseException = self._decoder(message).value(message.value)
            raise fault
        if not isinstance(message, Returned):
            raise self._ended(f"answered with {message.type!r} where a value was expected")
        return self._decoder(message).value(message.value)

    def generator(self, number: int, first: Message | None = None) -> Generator[Any, Any, Any]:
        """A generator of the process as one of this process: what it yields is yielded here, replies go back. ``first``: its first answer,
        where it has been started already.
        """
        try:
            message = first or (yield from self._resume(number, None))
            while isinstance(message, Yielded):
                self._follow(message)
                asked = self._decoder(message).value(message.value)
                try:
                    reply = (yield from asked.generator) if isinstance(asked, _Delegated) else (yield asked)
                except Exception as fault:
                    answer: Any = fault
                else:
                    answer = reply
                message = yield from self._resume(number, answer)
        except GeneratorExit:
            self._close(number)
            raise
        self._follow(message)
        return self.result(message)

    def close(self) -> None:
        """The process is not needed any more, once what is being closed over there has been. One that is at something else is ended."""
        with self._turn:
            self._dismissed = True
            waits, busy = self._leaving > 0, bool(self._arrived)
        if not waits:
            self._finish("silent" if busy else "done")

    # ---- messages ----

    def _numbered(self) -> int:
        with self._turn:
            self._calls += 1
            self._arrived[self._calls] = deque()
            return self._calls

    def _answered(self, call: int, limit: float) -> Message:
        try:
            while True:
                message = self._wait(call, limit)
                if not isinstance(message, Asked):
                    return message
                self._send(self._answer(message))
        finally:
            with self._turn:
                del self._arrived[call]

    def _soon(self, call: int) -> Message | None:
        """The answer if it comes at once. Questions and endings are for who has the time."""
        with self._turn:
            if self._reading or self._over is not None:
                return None
            self._reading = True
        message: Message | None = None
        try:
            if self._pipe.ready(SOON):
                message = self._pipe.receive(self._limit)
        except TimeoutError:  # in the midst of a message
            self._finish("silent")
        except PipeClosed:
            message = None
        with self._turn:
            self._reading = False
            self._turn.notify_all()
            if message is not None and (waiting := self._arrived.get(getattr(message, "call", 0))) is not None:
                waiting.append(message)
            arrived = self._arrived[call]
            if not arrived or isinstance(arrived[0], Asked):
                return None
            return self._arrived.pop(call).popleft()

    def _resume(self, number: int, value: Any) -> Generator[Any, Any, Message]:
        encoder = Encoder(_kept)
        wrapped = encoder.value(value)
        return (yield from self.patiently(lambda call: Resume(call, number, wrapped, blobs=encoder.blobs)))

    def _close(self, number: int) -> None:
        """Have a generator closed over there. Nobody waits for its ``finally``: the process ends after it, or when its time is over."""
        if self._over is not None:
            return
        with self._turn:
            self._leaving += 1
        threading.Thread(target=self._closed, args=(number,), name="gesso-close", daemon=True).start()

    def _closed(self, number: int) -> None:
        try:
            self.result(self.request(lambda call: Close(call, number)))
        except BaseException:
            _log.exception("a generator of the plugin %s failed while it was closed", self.plugin)
        with self._turn:
            self._leaving -= 1
            last = self._dismissed and self._leaving == 0
        if last:
            self._finish("done")

    def _follow(self, message: Message) -> None:
        if self.noise is not None and isinstance(message, (Yielded, Returned)) and "noise" in message.value:
            self.noise.follow(message.value["noise"])

    def _send(self, message: Message) -> None:
        try:
            self._pipe.send(message)
        except PipeClosed as fault:
            raise self._died() from fault

    def _wait(self, call: int, limit: float) -> Message:
        """The next message for this call. Whoever waits first reads for all."""
        deadline = time.monotonic() + limit
        while True:
            with self._turn:
                while self._reading and not self._arrived[call] and self._over is None:
                    self._turn.wait(deadline - time.monotonic())
                    if time.monotonic() >= deadline:
                        break
                if self._arrived[call]:
                    return self._arrived[call].popleft()
                if self._over is not None:
                    raise self._died()
                if self._reading:
                    raise self._silent(limit)
                self._reading = True
            self._read(limit, deadline)

    def _read(self, limit: float, deadline: float) -> None:
        try:
            message = self._pipe.receive(max(0.0, deadline - time.monotonic()))
        except TimeoutError as fault:
            raise self._silent(limit) from fault
        except PipeClosed as fault:
            raise self._died() from fault
        else:
            with self._turn:
                waiting = self._arrived.get(getattr(message, "call", 0))
                if waiting is not None:
                    waiting.append(message)
        finally:
            with self._turn:
                self._reading = False
                self._turn.notify_all()

    def _decoder(self, message: Message) -> Decoder:
        return Decoder(message.blobs, self._foreign)

    def _foreign(self, found: Mapping[str, Any]) -> Any:
        """What only the process has: its generators and host functions."""
        match found["$"]:
            case "generator":
                return self.generator(found["v"])
            case "host":
                return Host(_Remote(self, found["v"], found["name"]))
            case "operation" if self._ask is not None:
                return _Delegated(self._ask("operation", (found["name"], self._plain(found["v"]))))
        raise PluginError(f"The plugin {self.plugin!r} sent {found['$']!r}, which is not known here.", details={"plugin": self.plugin})

    def _plain(self, wrapped: Any) -> Any:
        return Decoder(()).value({"v": wrapped})

    def work(self, number: int) -> Kept:
        """Run a host function over there; for the thread pool."""
        self.result(self.request(lambda call: Work(call, number), HOST_LIMIT))
        return Kept(number)

    def _answer(self, asked: Asked) -> Answer:
        encoder = Encoder()
        try:
            if self._ask is None:
                raise PluginError(f"The plugin {self.plugin!r} has no context here.", details={"plugin": self.plugin})
            wrapped = encoder.value(self._ask(asked.method, self._decoder(asked).value(asked.value)))
        except Exception as fault:  # it goes to whoever asked
            encoder = Encoder()
            wrapped = encoder.value(CallError(fault))
        return Answer(wrapped, blobs=encoder.blobs)

    # ---- the end ----

    def _silent(self, limit: float) -> PluginError:
        self._finish("silent")
        return self._ended(f"did not answer within {limit:g} seconds and was ended")

    def _died(self) -> PluginError:
        return self._ended(self._finish("died"))

    def _ended(self, how: str) -> PluginError:
        return PluginError(f"The process of the plugin {self.plugin!r} {how}.", details={"plugin": self.plugin})

    def _finish(self, how: End) -> str:
        with self._turn:
            first, self._over = self._over is None, self._over or "was ended"
            self._turn.notify_all()
        if first:
            self._over = self._end(how)
            self._pipe.close()
        return self._over


class _Remote:
    """A host function of the process, as the engine's thread pool calls it."""

    def __init__(self, session: Session, number: int, name: str) -> None:
        self._session = session
        self._number = number
        self.__qualname__ = name

    def __call__(self) -> Kept:
        return self._session.work(self._number)


def _start(what: str, name: str, value: Any) -> Callable[[int], Message]:
    encoder = Encoder()
    wrapped = encoder.value(value)
    return lambda call: Start(call, what, name, wrapped, blobs=encoder.blobs)


def _caught(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns or raises, as a value: it is raised where it belongs, in the plugin's own generator."""
    try:
        return function(*args)
    except Exception as fault:
        return fault


def _kept(thing: Any) -> Mapping[str, Any] | None:
    return {"$": "kept", "v": thing.number} if isinstance(thing, Kept) else None
