"""Bridges a sampler, which asks by yielding ``(x, sigma)``, and a denoiser, which answers by making calls. It knows no model and no engine.

sampler --(x, sigma)--> Run --> denoiser --Call--> engine, and the answers back the same way.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, TypeAlias

import torch
from torch import Tensor

from gesso.engine.calls import Denoised, Wait
from gesso.errors import GessoError, ModelError, PluginError, SamplerFault, TooManyEvaluations

Denoiser: TypeAlias = Callable[[Tensor, float], Generator[Any, Any, Denoised]]
"""``denoiser(x, sigma)``: a generator that makes calls and returns the answer to one request of a sampler."""

_log = logging.getLogger(__name__)
EVALUATION_CAP = 10_000


class Run:
    """One sampler at work on one image. It can be driven in parts: `x` is where it stands, `done` whether it returned. Where the sampler
    has to be waited for, these block; `ready` lets others go on.

    ``cap`` bounds the evaluations of a sampler that never ends. Whoever makes a Run closes it (``with Run(...) as run``); `drive` does so
    only for what it finished or broke.
    """

    def __init__(self, sampler: Generator[Any, Any, Any], *, name: str | None = None, cap: int = EVALUATION_CAP) -> None:
        self.name = name or getattr(sampler, "__name__", "sampler")
        self.evaluations = 0
        self.sigma = math.inf
        self._done = False
        self._cap = cap
        self._sampler = sampler
        self._x: Tensor | None = None
        self._waiting: Wait | None = None

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        if fault is None:
            self.close()
        else:
            self.let_go()

    @property
    def x(self) -> Tensor:
        """What the sampler asked for last, or its result once `done`; starts the sampler if need be."""
        return self.request()[0]

    @property
    def done(self) -> bool:
        """Whether the sampler returned."""
        if self._waiting is not None:
            self.request()
        return self._done

    def request(self) -> tuple[Tensor, float]:
        """The pending request (the result and sigma 0 once `done`)."""
        if self._x is None and self._waiting is None:
            self._advance(None)
        while (wait := self._waiting) is not None:
            self._advance(wait.function(*wait.args))
        assert self._x is not None
        return self._x, self.sigma

    def ready(self) -> Generator[Any, Any, None]:
        """Come to the next request while others go on: a sampler that lives in another process may let its answer be waited for."""
        if self._x is None and self._waiting is None:
            self._advance(None)
        while self._waiting is not None:
            self._advance((yield self._waiting))

    def answer(self, denoised: Denoised) -> None:
        """Hand the answer to the pending request in and take the next one."""
        if self.evaluations >= self._cap:
            raise TooManyEvaluations(
                f"The sampler {self.name!r} asked for more than {self._cap} evaluations and was stopped, at step {self.evaluations + 1}.",
                hint="Choose fewer steps or another sampler.",
                details={"sampler": self.name, "step": self.evaluations + 1},
            )
        self.evaluations += 1
        self._advance(self._checked_answer(denoised))

    def close(self) -> None:
        """End the sampler; its ``finally`` blocks run. SamplerFault for one that raises or yields there. Idempotent."""
        try:
            self._sampler.close()
        except (Exception, SystemExit) as fault:
            raise self._fault(f"did not end when it was closed ({type(fault).__name__}: {_shortened(fault)})") from fault

    def let_go(self) -> None:
        """`close` where another failure is on its way, or a cancellation: what the sampler does wrong now is logged, not raised."""
        try:
            self.close()
        except SamplerFault:
            _log.exception("a sampler failed while it was closed")

    def _advance(self, reply: Any) -> None:
        """Resume the sampler with a checked answer, or with what it waited for."""
        self._waiting = None
        try:
            asked = self._sampler.send(reply)
        except StopIteration as end:
            self._done = True
            self._x, self.sigma = self._checked_x(end.value, "returned"), 0.0
        except (GessoError, MemoryError, torch.OutOfMemoryError):
            raise
        except (Exception, SystemExit) as fault:
            raise self._fault(f"failed with {type(fault).__name__}: {_shortened(fault)}") from fault
        else:
            if isinstance(asked, Wait):
                self._waiting = asked
            else:
                self._x, self.sigma = self._checked_request(asked)

    def _checked_request(self, asked: object) -> tuple[Tensor, float]:
        if not (isinstance(asked, tuple) and len(asked) == 2):
            raise self._fault(f"yielded {_described(asked)} where the pair (x, sigma) was expected")
        x = self._checked_x(asked[0], "yielded")
        try:
            sigma = float(asked[1])
        except (TypeError, ValueError, RuntimeError) as fault:
            raise self._fault(f"yielded {_described(asked[1])} as its noise level, which must be one number") from fault
        if not 0.0 <= sigma < math.inf:
            raise self._fault(f"yielded the noise level {sigma}, which must be a finite number of at least 0")
        return x, sigma

    def _checked_x(self, x: object, verb: str) -> Tensor:
        if not isinstance(x, Tensor):
            raise self._fault(f"{verb} {_described(x)} where a tensor was expected")
        if x.dim() != 4 or x.shape[0] != 1 or 0 in x.shape:
            raise self._fault(f"{verb} a tensor of shape {tuple(x.shape)}; it must be (1, channels, height, width)")
        if not x.is_floating_point():
            raise self._fault(f"{verb} a tensor of {x.dtype}; it must hold floating-point numbers")
        if not _finite(x):
            raise self._fault(f"{verb} NaN or infinite numbers")
        return x

    def _checked_answer(self, denoised: object) -> Denoised:
        x, sigma = self.request()
        if not isinstance(denoised, Denoised):
            raise PluginError(f"The denoiser answered the sampler {self.name!r} with {_described(denoised)} where a Denoised was expected.")
        if denoised.denoised.shape != x.shape:
            shapes = f"{tuple(denoised.denoised.shape)} for x of shape {tuple(x.shape)}"
            raise PluginError(f"The denoiser answered the sampler {self.name!r} at step {self.evaluations + 1} with shape {shapes}.")
        if not _finite(denoised.denoised):
            raise ModelError(
                f"The model answered with NaN or infinite numbers at step {self.evaluations + 1} (sigma {sigma:.4g}).",
                hint="Lower the guidance, or run the model in a wider number format.",
                details={"sampler": self.name, "step": self.evaluations + 1},
            )
        return denoised

    def _fault(self, what: str) -> SamplerFault:
        step = self.evaluations + 1
        return SamplerFault(f"The sampler {self.name!r} {what}, at step {step}.", details={"sampler": self.name, "step": step})


def drive(sampler: Run | Generator[Any, Any, Any], denoiser: Denoiser, steps: int | None = None) -> Generator[Any, Any, Tensor]:
    """Run a sampler to its end, or for ``steps`` more evaluations; returns its ``x`` (1, C, h, w) then.

    Give a `Run` to go on later (best-of-N looks at ``run.x`` and closes the losers). Any failure, and cancelling, closes the sampler.
    """
    run = sampler if isinstance(sampler, Run) else Run(sampler)
    last = math.inf if steps is None else run.evaluations + steps
    try:
        yield from run.ready()
        x, sigma = run.request()
        while not run.done and run.evaluations < last:
            run.answer((yield from denoiser(x, sigma)))
            yield from run.ready()
            x, sigma = run.request()
    except BaseException:
        run.let_go()
        raise
    if steps is None or not isinstance(sampler, Run):
        run.close()
    return x


def _finite(x: Tensor) -> bool:
    # One sum is several times cheaper than isfinite().all() and keeps every NaN and infinity; half precision must not overflow in it.
    return math.isfinite(torch.sum(x, dtype=torch.float32).item())


def _described(thing: object) -> str:
    if isinstance(thing, Tensor):
        return f"a tensor of shape {tuple(thing.shape)}"
    return "nothing (None)" if thing is None else f"a {type(thing).__name__}"


def _shortened(fault: BaseException) -> str:
    text = " ".join(str(fault).split())
    return (text if len(text) <= 200 else f"{text[:200]}...") or "no message"
