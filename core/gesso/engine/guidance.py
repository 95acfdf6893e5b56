"""Guidance: several predictions of one moment become the one x0 that a sampler is given. All rows that the guidances of a job ask for
travel in one `Denoise`, or in one `DenoiseGrad` where one of them asks for a gradient. No guidance is named here; they come from plugins.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor

from gesso.engine.calls import Denoise, Denoised, DenoiseGrad, Graded, Loss
from gesso.engine.drive import Denoiser
from gesso.errors import GessoError, PluginError
from gesso.model import Conditioning, ModelRef, Parametrisation, Patch, Perturbation


class Row(NamedTuple):
    """One prediction that a guidance asks for: of the prompt or of the negative prompt, with the network whole or perturbed."""

    negative: bool = False
    perturb: Perturbation | None = None


class Gradient(NamedTuple):
    """What a guidance may ask for beside rows: the gradient on x of a loss, a method of the moment's ``judge`` on what the prompt's x0
    decodes to (`gesso.engine.Loss`).
    """

    method: str
    inputs: Mapping[str, Any]


PROMPT = Row()
NEGATIVE = Row(negative=True)


@dataclass(frozen=True)
class Moment:
    """Where the sampler is: x (1, C, h, w) at ``sigma``; ``fraction`` of its steps lies behind it, 0 at the first and 1 at the end. What is
    painted: ``prompt``. ``judge``: the model that the guidance's option of this name has named.
    """

    x: Tensor
    sigma: float
    fraction: float
    parametrisation: Parametrisation
    prompt: str = ""
    judge: ModelRef | None = None


@dataclass(frozen=True)
class Predicted:
    """What a guidance works on. x0: as the guidances before it left it; the prompt's own prediction for the first. ``[row]``: the
    model's prediction for a row that was asked for; that of `PROMPT` is always there. ``gradient``: the one that was asked for, like x.
    """

    x0: Tensor
    rows: Mapping[Row, Tensor]
    gradient: Tensor | None = None

    def __getitem__(self, row: Row) -> Tensor:
        return self.rows[row]


Asked: TypeAlias = tuple[Row | Gradient, ...]
GuidanceFunction: TypeAlias = Callable[..., Generator[Asked, Predicted, Tensor]]
"""``f(moment, **options)``: yields once, what it needs: rows, at most one gradient; receives `Predicted`; returns x0, shaped like x."""


@dataclass(frozen=True)
class Guide:
    """One guidance at work: its function and options, and the fractions of the steps between which it is heard (the end is left out,
    but for 1). ``judge``: the model that takes part in it.
    """

    name: str
    function: GuidanceFunction
    options: Mapping[str, Any] = field(default_factory=dict)
    start: float = 0.0
    end: float = 1.0
    judge: ModelRef | None = None

    def heard(self, fraction: float) -> bool:
        """Whether it has a say at this point of the run."""
        return self.start <= fraction and (fraction < self.end or self.end >= 1.0)


@dataclass(frozen=True)
class Prompted:
    """What is denoised for one picture: a model, its prompt, the negative or empty prompt, patches, and the words of the ``prompt``."""

    model: ModelRef
    cond: Conditioning
    uncond: Conditioning
    patches: tuple[Patch, ...] = ()
    prompt: str = ""


def guided(guides: Sequence[Guide], prompted: Prompted, parametrisation: Parametrisation, sigmas: Sequence[float]) -> Denoiser:
    """A denoiser with guidances, applied in their order. ``sigmas``, highest first, are the steps that fractions are taken of.

    ``uncond`` of the answer is the prediction for the negative prompt where one was asked for, else that for the prompt.
    """
    levels = [-sigma for sigma in sigmas]

    def denoiser(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        moment = Moment(x, sigma, fraction_of(sigma, levels), parametrisation, prompted.prompt)
        turns = [_Turn(guide, moment) for guide in guides if guide.heard(moment.fraction)]
        rows = _rows(turns)
        losses = [turn.loss for turn in turns if turn.loss is not None]
        reply, gradients = yield from _asked(_call(prompted, x, sigma, rows), tuple(losses))
        found = dict(zip(rows, reply.predictions, strict=True))
        x0 = found[PROMPT]
        for turn in turns:
            x0 = turn.finish(Predicted(x0, found, None if turn.loss is None else next(gradients)))
        return Denoised(x0, found[NEGATIVE if NEGATIVE in found else PROMPT], reply.predictions)

    return denoiser


def _asked(call: Denoise, losses: tuple[Loss, ...]) -> Generator[Any, Any, tuple[Denoised, Iterator[Tensor]]]:
    if not losses:
        return (yield call), iter(())
    graded: Graded = yield DenoiseGrad(call, losses)
    return graded.denoised, iter(graded.gradients)


def fraction_of(sigma: float, levels: Sequence[float]) -> float:
    """How many of the steps lie above ``sigma``, as a fraction; between two levels, linear in sigma. ``levels``: the negated sigmas."""
    steps = len(levels) - 1
    lower = bisect_left(levels, -sigma)
    if lower == 0:
        return 0.0
    if lower > steps:
        return 1.0
    above, below = -levels[lower - 1], -levels[lower]
    return lower / steps if sigma == below else (lower - 1 + (above - sigma) / (above - below)) / steps


class _Turn:
    """One guidance at one moment: started, its rows known, waiting for the predictions. A fault names it."""

    def __init__(self, guide: Guide, moment: Moment) -> None:
        self._name = guide.name
        self._shape = moment.x.shape
        try:
            seen = moment if guide.judge is None else replace(moment, judge=guide.judge)
            self._generator = guide.function(seen, **guide.options)
            asked = next(self._generator)
        except StopIteration as end:
            raise self._fault("returned before it asked for rows; it must yield once, if only an empty tuple") from end
        except GessoError:
            raise
        except Exception as fault:
            raise self._fault(f"failed with {type(fault).__name__}: {fault}") from fault
        if not (isinstance(asked, tuple) and all(isinstance(item, (Row, Gradient)) for item in asked)):
            raise self._fault(f"asked for {type(asked).__name__} where a tuple of rows was expected")
        self.rows = tuple(item for item in asked if isinstance(item, Row))
        self.loss = self._loss([item for item in asked if isinstance(item, Gradient)], guide.judge)

    def _loss(self, asked: Sequence[Gradient], judge: ModelRef | None) -> Loss | None:
        if not asked:
            return None
        if len(asked) > 1:
            raise self._fault("asked for two gradients; a sum of losses has one")
        if judge is None:
            raise self._fault("asked for a gradient and declares no judge")
        return Loss(judge, asked[0].method, asked[0].inputs)

    def finish(self, predicted: Predicted) -> Tensor:
        """Hand the predictions in and take x0."""
        try:
            self._generator.send(predicted)
        except StopIteration as end:
            x0 = end.value
        except GessoError:
            raise
        except Exception as fault:
            raise self._fault(f"failed with {type(fault).__name__}: {fault}") from fault
        else:
            self._generator.close()
            raise self._fault("asked for rows twice; all that it needs goes into one tuple")
        if not (isinstance(x0, Tensor) and x0.shape == self._shape):
            raise self._fault("did not return a tensor shaped like x")
        return x0

    def _fault(self, what: str) -> PluginError:
        return PluginError(f"The guidance {self._name!r} {what}.", details={"guidance": self._name})


def _rows(turns: Sequence[_Turn]) -> tuple[Row, ...]:
    """The prompt's row, that of the negative prompt if it was asked for, then the others in the order in which they were, each once."""
    asked = dict.fromkeys([row for turn in turns for row in turn.rows])
    plain = (PROMPT, NEGATIVE) if NEGATIVE in asked else (PROMPT,)
    return (*plain, *(row for row in asked if row not in plain))


def _call(prompted: Prompted, x: Tensor, sigma: float, rows: Sequence[Row]) -> Denoise:
    conds = tuple(prompted.uncond if row.negative else prompted.cond for row in rows)
    perturbed = tuple(row.perturb for row in rows) if any(row.perturb for row in rows) else ()
    return Denoise(prompted.model, x, sigma, conds, prompted.patches, perturbations=perturbed)
