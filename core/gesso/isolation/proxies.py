"""What an isolated plugin registers in a worker: specs and operations of the same names whose work is done in the plugin's own process.
They are made from the compiled file; nothing of the plugin is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from pydantic import ConfigDict
from torch import Tensor

from gesso.errors import InvalidRequest
from gesso.isolation.server import Server
from gesso.isolation.session import Ask
from gesso.math import Noise
from gesso.model import Parametrisation
from gesso.plugin import Fault, JobContext, OperationParams, PluginState, Registry, ResolveContext, SamplerSpec, ScheduleSpec
from gesso.plugin.names import Catalogue
from gesso.strangers import Stranger


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
        session = self._server.session(_answers(ctx))
        try:
            return (yield from session.generator(0, session.start("run", self.name, _given(ctx, params))))
        finally:
            session.close()


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
        sampler = SamplerSpec(function=_sampler(server, entry["name"]), **{**entry, "aliases": tuple(entry["aliases"])})
        enter("samplers", sampler, (sampler.title, *sampler.aliases))
    for entry in document["catalogues"]["schedules"]:
        schedule = ScheduleSpec(function=_schedule(server, entry["name"]), **{**entry, "aliases": tuple(entry["aliases"])})
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
        session = server.session()
        session.noise = noise
        given = {"x": x, "sigmas": sigmas, "noise": noise, "parametrisation": parametrisation, "options": options}
        try:
            return (yield from session.generator(0, session.start("sampler", name, given)))
        finally:
            session.close()

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
