"""What plugins register: samplers, schedules, guidances and operations, as frozen descriptions around plain functions. Torch-free."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from gesso.errors import InvalidRequest

if TYPE_CHECKING:
    from gesso.plugin.context import JobContext, ResolveContext

SamplerFunction = Callable[..., Generator[Any, Any, Any]]
"""``f(x, sigmas, **options)``: x (1, C, h, w), sigmas a sequence of Python floats ending in 0 as a rule; yields (x, sigma) and
receives `gesso.engine.Denoised`; returns the final x. It may name ``noise`` (a `gesso.math.NoiseSource`: ``noise(sigma, sigma_next)``
-> tensor like x, unit variance) and ``parametrisation`` among its arguments and is then given them; other keyword arguments are
its options, all with defaults."""

ScheduleFunction = Callable[..., Sequence[float]]
"""``f(parametrisation, steps, **options)`` -> ``steps + 1`` noise levels, highest first, ending in 0."""


@dataclass(frozen=True)
class SamplerSpec:
    """A sampler and what a list of samplers says of it. ``evaluations`` is model evaluations a step (0: it cannot know)."""

    name: str
    function: SamplerFunction
    title: str
    paper: str
    order: int = 1
    evaluations: int = 1
    stochastic: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def takes(self) -> frozenset[str]:
        """The names of the function's arguments after x and sigmas."""
        return frozenset(list(inspect.signature(self.function).parameters)[2:])

    def __call__(self, *args: Any, **options: Any) -> Generator[Any, Any, Any]:
        """The function itself: a spec is called as its function is."""
        return self.function(*args, **options)


@dataclass(frozen=True)
class ScheduleSpec:
    """A schedule and what a list of schedules says of it."""

    name: str
    function: ScheduleFunction
    title: str
    paper: str
    aliases: tuple[str, ...] = ()

    def __call__(self, *args: Any, **options: Any) -> Sequence[float]:
        """The function itself: a spec is called as its function is."""
        return self.function(*args, **options)


def sampler(  # noqa: PLR0913  (a decorator: each argument is one column of the list of samplers)
    name: str, *, title: str, paper: str, order: int = 1, evaluations: int = 1, stochastic: bool = False, aliases: Sequence[str] = ()
) -> Callable[[SamplerFunction], SamplerSpec]:
    """Turn a generator function into a `SamplerSpec`; the spec stays callable like the function."""

    def wrap(function: SamplerFunction) -> SamplerSpec:
        return SamplerSpec(name, function, title, paper, order, evaluations, stochastic, tuple(aliases))

    return wrap


def schedule(name: str, *, title: str, paper: str, aliases: Sequence[str] = ()) -> Callable[[ScheduleFunction], ScheduleSpec]:
    """Turn a function of (parametrisation, steps) into a `ScheduleSpec`."""

    def wrap(function: ScheduleFunction) -> ScheduleSpec:
        return ScheduleSpec(name, function, title, paper, tuple(aliases))

    return wrap


GuidanceFunction = Callable[..., Generator[Any, Any, Any]]
"""``f(moment, **options)``: a generator that yields once, the tuple of `gesso.engine.Row` that it needs (perhaps empty), receives
`gesso.engine.Predicted`, and returns x0. ``moment`` is a `gesso.engine.Moment`. Its options are annotated (`Annotated[float, Field(ge=0)]`
sets bounds) and have defaults. An option ``layers`` holds names of the model's layers; left empty, it is filled with the model's first."""


@dataclass(frozen=True)
class GuidanceSpec:
    """A guidance and what a list of guidances says of it. Those of one job are applied by ``order``, then by name: up to 50 they move x0
    along directions, from 50 on they correct what came out.
    """

    name: str
    function: GuidanceFunction
    title: str
    paper: str
    order: int = 10
    aliases: tuple[str, ...] = ()

    @cached_property
    def options(self) -> type[BaseModel]:
        """The function's options as a model: unknown names, wrong types and numbers out of bounds are refused."""
        hints = get_type_hints(self.function, include_extras=True)
        given = list(inspect.signature(self.function).parameters.values())[1:]
        fields: dict[str, Any] = {option.name: (hints[option.name], option.default) for option in given}
        settings = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
        return create_model(f"{self.name}_options", __config__=settings, **fields)


def guidance(
    name: str, *, title: str, paper: str, order: int = 10, aliases: Sequence[str] = ()
) -> Callable[[GuidanceFunction], GuidanceSpec]:
    """Turn a generator function of a moment into a `GuidanceSpec`."""

    def wrap(function: GuidanceFunction) -> GuidanceSpec:
        return GuidanceSpec(name, function, title, paper, order, tuple(aliases))

    return wrap


class OperationParams(BaseModel):
    """Base of every operation's parameters: unknown fields are refused, values are frozen, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


P = TypeVar("P", bound=OperationParams)


class Operation(Protocol, Generic[P]):
    """What a client can ask for. A plugin registers instances; ``Params`` lives in a torch-free module."""

    name: ClassVar[str]
    title: ClassVar[str]
    Params: ClassVar[type[OperationParams]]

    def resolve(self, ctx: ResolveContext, params: P) -> P:
        """Fill model-dependent defaults and check across fields; raise InvalidRequest naming the field. Pure: no model is loaded."""
        ...

    def run(self, ctx: JobContext, params: P) -> Generator[Any, Any, Any]:
        """The job: yields calls, returns a sequence of `gesso.media.Output`."""
        ...


def validated(operation: Operation[Any], params: Mapping[str, Any]) -> OperationParams:
    """The operation's parameters as their type; InvalidRequest names the first field at fault and says what is wrong with it."""
    try:
        return operation.Params.model_validate(params)
    except ValidationError as fault:
        errors = fault.errors(include_url=False, include_context=False, include_input=False)
        field = ".".join(str(part) for part in errors[0]["loc"])
        said = errors[0]["msg"]
        others = [".".join(str(part) for part in error["loc"]) for error in errors[1:]]
        raise InvalidRequest(
            f"The value of {field or 'the parameters'!r} cannot be used: {said[:1].lower()}{said[1:]}.",
            field=field or None,
            details={"others": others} if others else {},
        ) from fault
