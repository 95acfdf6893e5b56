"""What plugins register: samplers, schedules and guidances, as frozen descriptions around plain functions. Torch-free, and pydantic is
imported only by who asks for a guidance's options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from pydantic import BaseModel

SamplerFunction = Callable[..., Generator[Any, Any, Any]]
"""``f(x, sigmas, **options)``: x (1, C, h, w), sigmas a sequence of Python floats ending in 0 as a rule; yields (x, sigma) and
receives `gesso.engine.Denoised`; returns the final x. It may name ``noise`` (a `gesso.math.NoiseSource`: ``noise(sigma, sigma_next)``
-> tensor like x, unit variance) and ``parametrisation`` among its arguments and is then given them; other keyword arguments are
its options, all with defaults."""

ScheduleFunction = Callable[..., Sequence[float]]
"""``f(parametrisation, steps, **options)`` -> ``steps + 1`` noise levels, highest first, ending in 0."""


@dataclass(frozen=True)
class SamplerSpec:
    """A sampler and what a list of samplers says of it. ``evaluations`` is model evaluations a step (0: it cannot know).

    ``remote``: it lives in a process of its own, and may yield a `gesso.engine.Wait` between its requests, which `drive` and ``yield
    from`` pass on.
    """

    name: str
    function: SamplerFunction
    title: str
    paper: str
    order: int = 1
    evaluations: int = 1
    stochastic: bool = False
    aliases: tuple[str, ...] = ()
    remote: bool = False

    @property
    def takes(self) -> frozenset[str]:
        """The names of the function's arguments after x and sigmas."""
        return frozenset(list(inspect.signature(self.function).parameters)[2:])

    def __call__(self, *args: Any, **options: Any) -> Generator[Any, Any, Any]:
        """The function itself: a spec is called as its function is."""
        return self.function(*args, **options)


@dataclass(frozen=True)
class ScheduleSpec:
    """A schedule and what a list of schedules says of it. ``remote``: it lives in a process of its own; call it in a `gesso.engine.Wait`,
    so that nobody else waits for it.
    """

    name: str
    function: ScheduleFunction
    title: str
    paper: str
    aliases: tuple[str, ...] = ()
    remote: bool = False

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
"""``f(moment, **options)``: a generator that yields once, the tuple of `gesso.engine.Row` that it needs (perhaps empty, perhaps with one
`gesso.engine.Gradient`), receives `gesso.engine.Predicted`, returns x0. ``moment`` is a `gesso.engine.Moment`. Its options are annotated
(`Annotated[float, Field(ge=0)]` sets bounds) and have defaults. An option ``layers`` holds names of the model's layers; left empty, it is
filled with the model's first. ``judge`` names a model with the capability that the spec's ``judge`` says; left empty, it is filled with
the one that the owner's settings of the plugin name as ``model``, else the first; ``moment.judge`` is that model."""


@dataclass(frozen=True)
class GuidanceSpec:
    """A guidance and what a list of guidances says of it. Those of one job are applied by ``order``, then by name: up to 50 they move x0
    along directions, from 50 on they correct what came out. ``judge``: the capability of the model that it asks for a gradient.
    """

    name: str
    function: GuidanceFunction
    title: str
    paper: str
    order: int = 10
    aliases: tuple[str, ...] = ()
    judge: str = ""

    @cached_property
    def options(self) -> type[BaseModel]:
        """The function's options as a model: unknown names, wrong types and numbers out of bounds are refused."""
        from pydantic import ConfigDict, create_model

        hints = get_type_hints(self.function, include_extras=True)
        given = list(inspect.signature(self.function).parameters.values())[1:]
        fields: dict[str, Any] = {option.name: (hints[option.name], option.default) for option in given}
        settings = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
        return create_model(f"{self.name}_options", __config__=settings, **fields)


def guidance(
    name: str, *, title: str, paper: str, order: int = 10, aliases: Sequence[str] = (), judge: str = ""
) -> Callable[[GuidanceFunction], GuidanceSpec]:
    """Turn a generator function of a moment into a `GuidanceSpec`."""

    def wrap(function: GuidanceFunction) -> GuidanceSpec:
        return GuidanceSpec(name, function, title, paper, order, tuple(aliases), judge)

    return wrap
