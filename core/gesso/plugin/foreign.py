"""Runs a sampler that was written for k-diffusion, ``fn(model, x, sigmas, extra_args, callback, disable, ...)``, unchanged as a generator.

The function runs on a greenlet: where it calls ``model(x, sigma)`` it is set aside, its request is yielded, and the answer is what the call
returns. torch and greenlet are imported when a sampler runs, not when it is registered.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest, PluginError
from gesso.plugin.specs import SamplerSpec

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.engine import Denoised
    from gesso.math import NoiseSource
    from gesso.model import Parametrisation

_SUPPLIED = ("extra_args", "callback", "disable", "noise_sampler")


def from_k_diffusion(  # noqa: PLR0913  (each argument is one column of the list of samplers)
    function: Callable[..., Any],
    *,
    name: str | None = None,
    title: str | None = None,
    paper: str = "k-diffusion",
    order: int = 1,
    evaluations: int = 0,
    stochastic: bool | None = None,
    aliases: Sequence[str] = (),
    brownian: bool = False,
    flow: bool = False,
) -> SamplerSpec:
    """A sampler from a k-diffusion function; it needs no change and gives the same bits as a direct call.

    ``fn`` takes ``sigmas``, or ``sigma_min`` and ``sigma_max`` (and ``n``). If it takes ``noise_sampler``, that is the image's noise (with
    ``brownian`` its one Brownian path); what it draws from torch's global generator comes from a state of its own, seeded with the image's
    seed, and the process never sees it. ``model`` is a plain function: samplers that look inside the model, or hold torch.inference_mode,
    fail. Its further arguments with defaults become options. ``stochastic`` defaults to whether it takes ``noise_sampler``. Rectified flows
    are refused unless ``flow`` says that the function is right for them: most methods for the ODE in sigma are, none that adds noise is.
    """
    parameters = inspect.signature(function).parameters
    if "sigmas" not in parameters and not {"sigma_min", "sigma_max"} <= set(parameters):
        raise PluginError(f"{function.__qualname__} takes neither sigmas nor sigma_min and sigma_max, so it is no k-diffusion sampler.")

    plain = function.__name__.removeprefix("sample_")

    def steps(
        x: Tensor, sigmas: Sequence[float], *, noise: NoiseSource, parametrisation: Parametrisation, **options: Any
    ) -> Generator[Any, Any, Tensor]:
        if parametrisation.is_flow and not flow:
            raise InvalidRequest(f"The sampler {name or plain!r} cannot run a rectified-flow model.", field="sampler")
        supplied: dict[str, Any] = {"extra_args": {}, "callback": None, "disable": True, "noise_sampler": _noise_sampler(noise, brownian)}
        arguments = {key: value for key, value in supplied.items() if key in parameters} | options | _levels(x, sigmas, parameters)
        return (yield from _steps(lambda model: function(model, x, **arguments), x, noise.seed))

    own = [p.replace(kind=p.KEYWORD_ONLY) for key, p in parameters.items() if p.default is not p.empty and key not in _SUPPLIED]
    first = list(inspect.signature(steps).parameters.values())[:4]
    steps.__signature__ = inspect.Signature([*first, *own])  # type: ignore[attr-defined]
    random = "noise_sampler" in parameters if stochastic is None else stochastic
    return SamplerSpec(name or plain, steps, title or plain, paper, order, evaluations, random, tuple(aliases))


def _levels(x: Tensor, sigmas: Sequence[float], parameters: Any) -> dict[str, Any]:
    """The noise levels in the form that the function asks for."""
    import torch

    if "sigmas" in parameters:
        return {"sigmas": torch.tensor(sigmas, dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)}
    positive = [sigma for sigma in sigmas if sigma > 0]
    ends = {"sigma_min": positive[-1], "sigma_max": positive[0], "n": len(sigmas) - 1}
    return {key: value for key, value in ends.items() if key in parameters}


def _noise_sampler(noise: NoiseSource, brownian: bool) -> Callable[[Any, Any], Tensor]:
    draw = noise.brownian if brownian else noise
    return lambda sigma, sigma_next: draw(float(sigma), float(sigma_next))


class _Aside:
    """The global state that the function sees (random numbers, grad mode), exchanged with the process's own at each switch."""

    def __init__(self, x: Tensor, seed: int) -> None:
        import torch

        self._generators = [torch.default_generator]
        if x.is_cuda:
            index = torch.cuda.current_device() if x.device.index is None else x.device.index
            self._generators.append(torch.cuda.default_generators[index])
        outside = [generator.get_state() for generator in self._generators]
        self._states = [generator.manual_seed(seed).get_state() for generator in self._generators]
        for generator, state in zip(self._generators, outside, strict=True):
            generator.set_state(state)
        self._grad = torch.is_grad_enabled()

    def exchange(self) -> None:
        import torch

        for i, generator in enumerate(self._generators):
            state = generator.get_state()
            generator.set_state(self._states[i])
            self._states[i] = state
        grad = torch.is_grad_enabled()
        torch.set_grad_enabled(self._grad)
        self._grad = grad


def _steps(body: Callable[[Callable[..., Tensor]], Any], x: Tensor, seed: int) -> Generator[tuple[Tensor, float], Denoised, Tensor]:
    import contextvars

    from greenlet import getcurrent, greenlet

    aside = _Aside(x, seed)

    def model(x: Tensor, sigma: Tensor, **_: Any) -> Tensor:
        return getcurrent().parent.switch((x, float(sigma.reshape(-1)[0])))  # type: ignore[no-any-return]

    def enter(action: Callable[..., Any], *values: Any) -> Any:
        """Go on inside, until the function asks or ends."""
        inside.parent = getcurrent()
        aside.exchange()
        try:
            return action(*values)
        finally:
            aside.exchange()

    inside = greenlet(lambda: body(model))
    inside.gr_context = contextvars.copy_context()
    try:
        asked = enter(inside.switch)
        while not inside.dead:
            try:
                reply = yield asked
            except Exception as fault:
                asked = enter(inside.throw, fault)
            else:
                asked = enter(inside.switch, reply.denoised)
        result: Tensor = asked
        return result
    finally:
        if inside:
            enter(inside.throw)
            if inside:
                raise RuntimeError("the foreign sampler goes on after it was closed")
