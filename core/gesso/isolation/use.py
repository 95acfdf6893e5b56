"""Inside a process of an isolated plugin: its generators, host functions and schedules, driven by messages of the worker. One process is
one use; it ends when the worker hangs up.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from gesso.engine import CallError, Host, Ticket
from gesso.engine.guard import Ambient
from gesso.engine.resume import leaked
from gesso.errors import GessoError, PluginError
from gesso.isolation.codec import Decoder, Encoder
from gesso.isolation.context import Delegated, RemoteContext
from gesso.link.isolated import Answer, Asked, Close, Raised, Resume, Returned, Start, Work, Yielded
from gesso.link.messages import Message
from gesso.link.pipe import Pipe, PipeClosed
from gesso.math import Noise
from gesso.plugin import Registry
from gesso.plugin.operations import validated

_log = logging.getLogger(__name__)


class Use:
    """``registry`` holds the plugin ``name`` and nothing else."""

    def __init__(self, pipe: Pipe, registry: Registry, name: str, threads: int) -> None:
        self._pipe = pipe
        self._registry = registry
        self._name = name
        self._backlog: deque[Message] = deque()
        self._generators: dict[int, Generator[Any, Any, Any]] = {}
        self._functions: dict[int, Host] = {}
        self._values: dict[int, Any] = {}
        self._made = 0
        self._call = 0
        self._noise: Noise | None = None
        self._title = f"the plugin {name!r}"
        self._pool = ThreadPoolExecutor(max_workers=max(2, threads), thread_name_prefix="gesso-host")
        self._ambient = Ambient()

    def serve(self) -> None:
        """Do what the worker asks until it hangs up."""
        while True:
            try:
                message = self._backlog.popleft() if self._backlog else self._pipe.receive()
                self._handle(message)
            except PipeClosed:
                return

    def ask(self, method: str, value: Any) -> Any:
        """Use the context; the worker answers while it waits for what runs now."""
        encoder = Encoder()
        self._pipe.send(Asked(self._call, method, encoder.value(value), blobs=encoder.blobs))
        while True:
            message = self._pipe.receive()
            if isinstance(message, Answer):
                found = Decoder(message.blobs).value(message.value)
                if isinstance(found, CallError):
                    raise found.cause
                return found
            self._backlog.append(message)

    def _handle(self, message: Message) -> None:
        match message:
            case Start(call=call):
                self._call = call
                self._start(message)
            case Resume(call=call, generator=number):
                self._call = call
                self._advance(call, number, Decoder(message.blobs, self._foreign).value(message.value))
            case Close(call=call, generator=number):
                self._call = call
                self._close(call, number)
            case Work(call=call, function=number):
                self._pool.submit(self._work, call, number)

    # ---- beginnings ----

    def _start(self, message: Start) -> None:
        given = Decoder(message.blobs).value(message.value)
        if message.what in ("sampler", "schedule"):
            self._title = f"the {message.what} {message.name!r}"
        else:
            self._title = f"the operation {message.name!r}"
        if message.what in ("sampler", "run"):
            self._generators[0] = self._sampler(message.name, given) if message.what == "sampler" else self._run(message.name, given)
            self._advance(message.call, 0, None)
            return
        try:
            with self._ambient.within():
                value = self._schedule(message.name, given) if message.what == "schedule" else self._resolved(message.name, given)
                self._refuse_leaks()
        except BaseException as fault:
            self._raised(message.call, fault)
        else:
            self._send(Returned, message.call, value)

    def _sampler(self, name: str, given: Mapping[str, Any]) -> Generator[Any, Any, Any]:
        spec = self._registry.sampler(name)
        self._noise = given.get("noise")
        supplied = {key: given[key] for key in ("noise", "parametrisation") if key in spec.takes}
        return spec(given["x"], given["sigmas"], **supplied, **given["options"])

    def _schedule(self, name: str, given: Mapping[str, Any]) -> Any:
        return list(self._registry.schedule(name)(given["parametrisation"], given["steps"], **given["options"]))

    def _resolved(self, name: str, given: Mapping[str, Any]) -> Any:
        operation = self._registry.operation(name)
        params = validated(operation, given["params"])
        return operation.resolve(RemoteContext(self.ask, self._registry, given["level"]), params).model_dump(mode="json")

    def _run(self, name: str, given: Mapping[str, Any]) -> Generator[Any, Any, Any]:
        operation = self._registry.operation(name)
        params = validated(operation, given["params"])
        return operation.run(RemoteContext(self.ask, self._registry, given["level"]), params)

    # ---- generators ----

    def _advance(self, call: int, number: int, value: Any) -> None:
        generator = self._generators[number]
        try:
            with self._ambient.within():
                item = generator.throw(value) if isinstance(value, BaseException) else generator.send(value)
                self._refuse_leaks()
        except StopIteration as end:
            del self._generators[number]
            self._ended(call, end.value)
        except BaseException as fault:
            self._raised(call, fault)
        else:
            self._send(Yielded, call, item)

    def _ended(self, call: int, value: Any) -> None:
        try:
            with self._ambient.within():
                self._refuse_leaks()
        except GessoError as fault:
            self._raised(call, fault)
        else:
            self._send(Returned, call, value)

    def _close(self, call: int, number: int) -> None:
        generator = self._generators.pop(number, None)
        try:
            if generator is not None:
                with self._ambient.within():
                    generator.close()
        except BaseException as fault:
            self._raised(call, fault)
        else:
            self._send(Returned, call, None)

    def _refuse_leaks(self) -> None:
        if leaks := self._ambient.leaks():
            raise leaked(Ticket("", self._title, self._name), leaks)

    def _work(self, call: int, number: int) -> None:
        """On a thread: the value stays here."""
        host = self._functions.pop(number)
        try:
            with torch.no_grad():
                self._values[number] = host.function(*host.args)
        except BaseException as fault:
            self._raised(call, fault)
        else:
            self._send(Returned, call, None)

    # ---- messages ----

    def _send(self, kind: type[Yielded] | type[Returned], call: int, value: Any) -> None:
        encoder = Encoder(self._own)
        try:
            wrapped = encoder.value(value)
        except PluginError as fault:
            self._raised(call, fault)
            return
        if self._noise is not None:
            wrapped["noise"] = self._noise.state()
        self._pipe.send(kind(call, wrapped, blobs=encoder.blobs))

    def _raised(self, call: int, fault: BaseException) -> None:
        if not isinstance(fault, (GessoError, CallError)):
            _log.error("%s failed", self._title, exc_info=fault)
        encoder = Encoder()
        self._pipe.send(Raised(call, encoder.value(fault.cause if isinstance(fault, CallError) else fault), blobs=encoder.blobs))

    def _own(self, thing: Any) -> Mapping[str, Any] | None:
        """What only this process has goes over by number."""
        if isinstance(thing, Delegated):
            return {"$": "operation", "name": thing.name, "v": Encoder().value(thing.params)["v"]}
        if isinstance(thing, Host):
            number = self._number()
            self._functions[number] = thing
            return {"$": "host", "v": number, "name": getattr(thing.function, "__qualname__", "a function")}
        if hasattr(thing, "throw") and hasattr(thing, "send"):
            number = self._number()
            self._generators[number] = thing
            return {"$": "generator", "v": number}
        return None

    def _foreign(self, found: Mapping[str, Any]) -> Any:
        if found["$"] == "kept":
            return self._values.pop(found["v"])
        raise PluginError(f"The worker sent {found['$']!r}, which is not known here.")

    def _number(self) -> int:
        self._made += 1
        return self._made
