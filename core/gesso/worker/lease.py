"""One leased job on its way through the worker. It owns no socket and no engine; `gesso.worker.service` moves it along.

resolving --Resolved sent--> frozen --Go, and inputs there--> running --Finished sent--> over
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from gesso.device.residency import ModelPool
from gesso.engine import All, Emit, Host, Ticket, Warn
from gesso.errors import InvalidRequest, ModelError, OutOfMemory
from gesso.link.messages import Lease
from gesso.plugin import Level, Registry
from gesso.plugin.operations import validated
from gesso.worker import filtering
from gesso.worker.context import WorkerContext
from gesso.worker.models import WorkerCatalogue
from gesso.worker.reports import Reporter
from gesso.worker.results import USUAL, Encoded, Spec, check_form, checked, coding, encoded

Stage = Literal["resolving", "frozen", "running"]


@dataclass(eq=False)
class Leased:
    """The state of one lease. ``missing``: inputs that were asked for and have not come."""

    lease: Lease
    stage: Stage = "resolving"
    spec: Spec | None = None
    go: bool = False
    blobs: dict[str, bytes] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    reporter: Reporter = field(default_factory=lambda: Reporter(None))
    warnings: list[str] = field(default_factory=list)
    context: WorkerContext | None = None
    started: float = 0.0
    paused: bool = False
    priority: str = ""

    def __post_init__(self) -> None:
        self.priority = self.lease.priority

    @property
    def startable(self) -> bool:
        """Whether its generator may start."""
        return self.stage == "frozen" and self.go and not self.missing

    @property
    def operation(self) -> str:
        """The operation's name as asked for."""
        return str(self.lease.request.get("operation", ""))

    def ticket(self, registry: Registry) -> Ticket:
        """What the engine must know of it."""
        lease = self.lease
        known = self.operation in registry.operations
        return Ticket(
            job=lease.job,
            title=f"the operation {self.operation!r}",
            plugin=registry.operations.plugin_of(registry.operation(self.operation).name) if known else "",
            client=lease.client,
            priority=self.urgency,
            level="fast" if self.level == "fast" else "exact",
        )

    @property
    def urgency(self) -> Literal["interactive", "batch"]:
        """Its priority now, as the engine names it."""
        return "interactive" if self.priority == "interactive" else "batch"

    @property
    def level(self) -> str:
        """The level asked for."""
        return str(self.lease.request.get("level") or "exact")

    @property
    def form(self) -> str:
        """The form in which the client wants its pictures: a codec's name, or `raw`."""
        return str(self.lease.request.get("output") or USUAL)


def resolving(
    leased: Leased, registry: Registry, catalogue: WorkerCatalogue, environment: Mapping[str, Any], room: ModelPool
) -> Generator[Any, Any, Spec]:
    """The job that freezes the request, or checks that a frozen one can still be run; on the thread pool, since it reads files."""
    work = _refreeze if leased.lease.spec is not None else _freeze
    spec = cast(Spec, (yield Host(work, (leased, registry, catalogue, environment))))
    yield Host(_check_room, (spec, catalogue, room))
    return spec


def _check_room(spec: Spec, catalogue: WorkerCatalogue, room: ModelPool) -> None:
    """Refuse before the start what cannot fit on the device, and say what of the same kind would."""
    kinds = {entry.name: entry.kind for entry in catalogue.entries}
    for name in spec.models:
        try:
            room.check_fits(catalogue.card(name))
        except OutOfMemory as fault:
            others = (entry for entry in catalogue.entries if entry.name != name and entry.kind == kinds.get(name))
            smaller = [entry.name for entry in others if room.would_fit(entry.path)]
            fault.details["fits"] = smaller
            if smaller:
                fault.hint = f"These fit: {', '.join(smaller[:5])}. {fault.hint}"
            raise


def _freeze(leased: Leased, registry: Registry, catalogue: WorkerCatalogue, environment: Mapping[str, Any]) -> Spec:
    level = leased.level
    if level not in ("exact", "fast"):
        raise InvalidRequest(f"The level {level[:40]!r} is unknown; it is exact or fast.", field="level")
    operation = registry.operation(leased.operation)
    check_form(registry, leased.form)
    context = WorkerContext(registry, catalogue, cast(Level, level), {})
    asked = filtering.before(registry, operation.name, leased.lease.request.get("params") or {}, context.warn)
    resolved = operation.resolve(context, validated(operation, asked))
    params = resolved.model_dump(mode="json")
    return Spec(operation.name, params, context.models, level, environment, tuple(context.warnings))


def _refreeze(leased: Leased, registry: Registry, catalogue: WorkerCatalogue, environment: Mapping[str, Any]) -> Spec:
    """A job that was frozen by an earlier worker stays as it is, but for the environment it runs in now."""
    spec = Spec.from_wire(leased.lease.spec or {})
    registry.operation(spec.operation)
    check_form(registry, leased.form)
    for name, digest in spec.models.items():
        if catalogue.card(name).digest != digest:
            raise ModelError(f"The files of the model {name!r} have changed since the job was made.", hint="Submit the job again.")
    return Spec(spec.operation, spec.params, spec.models, spec.level, environment, spec.warnings)


def running(leased: Leased, registry: Registry, context: WorkerContext) -> Generator[Any, Any, tuple[Encoded, ...]]:
    """The job itself: the operation, then its pictures encoded side by side on the thread pool."""
    spec = leased.spec
    assert spec is not None
    operation = registry.operation(spec.operation)
    outputs = yield from operation.run(context, validated(operation, spec.params))
    made = checked(outputs, spec.operation, registry.operations.plugin_of(operation.name))
    pictures = yield from filtering.after(registry, context, spec.operation, spec.params, made)
    codings = [coding(registry, picture, leased.form) for picture in pictures]
    yield Emit(*(Warn(how.warning) for how in codings if how is not None and how.warning))
    files = (Host(encoded, (picture, spec, how)) for picture, how in zip(pictures, codings, strict=True))
    return cast(tuple[Encoded, ...], (yield All(*files)))


def inputs_of(params: Any) -> Iterator[str]:
    """The SHA-256 of every input that parameters name, as ``{"sha256": ...}`` at any depth."""
    if isinstance(params, Mapping):
        named = params.get("sha256")
        if isinstance(named, str):
            yield named
        for value in params.values():
            yield from inputs_of(value)
    elif isinstance(params, (list, tuple)):
        for value in params:
            yield from inputs_of(value)
