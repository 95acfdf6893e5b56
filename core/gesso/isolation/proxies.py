"""What an isolated plugin registers in a worker: specs and operations of the same names whose work is done in the plugin's own process.
They are made from the compiled file; nothing of the plugin is imported here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from pydantic import ConfigDict
from torch import Tensor

from gesso.engine import Wait
from gesso.errors import InvalidRequest, PluginError
from gesso.isolation.server import Server
from gesso.isolation.session import Ask, Session
from gesso.math import Noise
from gesso.model import Parametrisation
from gesso.plugin import Fault, JobContext, OperationParams, PluginState, Registry, ResolveContext, SamplerSpec, ScheduleSpec
from gesso.plugin.names import Catalogue
from gesso.strangers import Stranger


class Opening:
    """A session of a server that a generator in the engine waits for, and that is closed whenever it comes."""

    def __init__(self, server: Server, ask: Ask | None = None) -> None:
        self._server = server
        self._ask = ask
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._closed = False

    def session(self) -> Generator[Any, Any, Session]:
        """The session; PluginError where there can be none."""
        fault = yield Wait(self._open)
        if fault is not None:
            raise fault
        assert self._session is not None
        return self._session

    def close(self) -> None:
        """The session is not needed any more."""
        with self._lock:
            self._closed = True
            session = self._session
        if session is not None:
            session.close()

    def _open(self) -> PluginError | None:
        try:
            session = self._server.session(self._ask)
        except PluginError as fault:
            return fault
        with self._lock:
            self._session = session
            late = self._closed
        if late:
            session.close()
        return None


class AnyParams(OperationParams):
    """The parameters of an isolated operation on their way through the worker; the plugin's own process checks them."""

    model_config = ConfigDict(extra="allow")


class IsolatedOperation:
    """An operation whose `resolve` and `run` happen over there."""

    Params = AnyParams

    def __init__(self, server: Server, name: str, title: str) -> None:
        self._server = server
        self.name = name
        self.title = title

    def resolve(self, ctx: ResolveContext, params: OperationParams) -> OperationParams:
        """The plugin's `resolve`, in a process of this call."""
        session = self._server.session(_answers(ctx))
        try:
            return AnyParams.model_validate(session.result(session.start("resolve", self.name, _given(ctx, params))))
        finally:
            session.close()

    def run(self, ctx: JobContext, params: OperationParams) -> Generator[Any, Any, Any]:
        """The plugin's `run`, in a process of this job."""
        opening = Opening(self._server, _answers(ctx))
        try:
            session = yield from opening.session()
            first = yield from session.started("run", self.name, _given(ctx, params))
            return (yield from session.generator(0, first))
        finally:
            opening.close()


def register(registry: Registry, stranger: Stranger, document: Mapping[str, Any], server: Server) -> PluginState:
    """Enter what the compiled file says that the plugin provides."""
    name = stranger.entry.name
    faults: list[Fault] = []
    registered: dict[str, list[str]] = {}

    def enter(kind: str, thing: Any, aliases: Sequence[str] = ()) -> None:
        catalogue: Catalogue[Any] = getattr(registry, kind)
        if taken := catalogue.taken((thing.name, *aliases)):
            faults.append(Fault(name, "", f"The plugin {name!r} provides {thing.name!r}, but {taken}."))
            return
        catalogue.add(thing.name, thing, name, aliases)
        registered.setdefault(kind, []).append(thing.name.removeprefix(f"{name}."))

    for entry in document["catalogues"]["samplers"]:
        told = {**entry, "aliases": tuple(entry["aliases"]), "remote": True}
        sampler = SamplerSpec(function=_sampler(server, entry["name"]), **told)
        enter("samplers", sampler, (sampler.title, *sampler.aliases))
    for entry in document["catalogues"]["schedules"]:
        told = {**entry, "aliases": tuple(entry["aliases"]), "remote": True}
        schedule = ScheduleSpec(function=_schedule(server, entry["name"]), **told)
        enter("schedules", schedule, (schedule.title, *schedule.aliases))
    for operation, described in document["operations"].items():
        enter("operations", IsolatedOperation(server, operation, described["title"]))
    state = PluginState(stranger.entry, {kind: tuple(names) for kind, names in registered.items()}, tuple(faults))
    registry.plugins.append(state)
    return state


def _sampler(server: Server, name: str) -> Callable[..., Generator[Any, Any, Any]]:
    def sampler(
        x: Tensor,
        sigmas: Sequence[float],
        *,
        noise: Noise | None = None,
        parametrisation: Parametrisation | None = None,
        **options: Any,
    ) -> Generator[Any, Any, Any]:
        opening = Opening(server)
        given = {"x": x, "sigmas": sigmas, "noise": noise, "parametrisation": parametrisation, "options": options}
        try:
            session = yield from opening.session()
            session.noise = noise
            first = yield from session.started("sampler", name, given)
            return (yield from session.generator(0, first))
        finally:
            opening.close()

    return sampler


def _schedule(server: Server, name: str) -> Callable[..., Sequence[float]]:
    def schedule(parametrisation: Parametrisation, steps: int, **options: Any) -> Sequence[float]:
        session = server.session()
        try:
            given = {"parametrisation": parametrisation, "steps": steps, "options": options}
            levels: Sequence[float] = session.result(session.start("schedule", name, given))
            return levels
        finally:
            session.close()

    return schedule


def _given(ctx: ResolveContext, params: OperationParams) -> dict[str, Any]:
    return {"params": params.model_dump(mode="json"), "level": ctx.level}


def _answers(ctx: ResolveContext) -> Ask:
    """How the plugin's use of its context is answered by the worker's own."""

    def answer(method: str, given: Sequence[Any]) -> Any:
        match method, *given:
            case "model", name, capability:
                return ctx.model(name, capability=capability)
            case "sampling", sampler, schedule:
                return list(ctx.sampling(sampler, schedule))
            case "options", kind, name:
                return ctx.options(kind, name)
            case "warn", message:
                ctx.warn(message)
                return None
            case ("blob" | "keep") as name, data if hasattr(ctx, name):
                return getattr(ctx, name)(data)
            case "operation", name, params if hasattr(ctx, "operation"):
                return ctx.operation(name, params)
        raise InvalidRequest(f"An isolated plugin cannot use {method!r} of its context here.")

    return answer
