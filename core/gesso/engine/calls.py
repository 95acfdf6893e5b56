"""What a job may yield to the engine: frozen data, never closures or modules, so that it can be batched, logged and sent elsewhere.

A generator yields a `Call`, an `All` or an `Emit` and receives the reply (`All`: the replies in order; `Emit`: None). A failed call
arrives as `CallError` through ``throw``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gesso.model import Conditioning, Control, ModelRef, Patch, Perturbation, TokenChoice

Job: TypeAlias = Generator[Any, Any, Any]
"""A job, or a part of one: yields calls, `All` and `Emit`, receives replies, returns its result."""


class CallError(Exception):
    """A call failed; ``cause`` is what went wrong. Generators may catch it and go on."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True, kw_only=True)
class Call:
    """One unit of model work. ``batched``: rows of several calls may share a forward. ``logged``: its reply is kept for replay."""

    batched: ClassVar[bool] = False
    logged: ClassVar[bool] = False


@dataclass(frozen=True)
class Load(Call):
    """Make a model resident. Reply: its `gesso.model.ModelCard`."""

    model: ModelRef


@dataclass(frozen=True)
class EncodeText(Call):
    """Encode prompts. Reply: a tuple of `Conditioning`, one per text. Cached by (encoder, patches, negative, text).

    ``negative``: these are negative prompts, which some models encode otherwise. ``patches``: those that concern words.
    """

    batched: ClassVar[bool] = True
    model: ModelRef
    texts: tuple[str, ...]
    patches: tuple[Patch, ...] = ()
    negative: bool = False


@dataclass(frozen=True)
class Lead:
    """Another picture at the same moment, whose look the rows of a call take on: ``x`` like the call's, ``conds`` as many and of the same
    layouts, and ``share``, how much (over 0, at most 1; see `gesso.model.Aligns`).
    """

    x: Tensor
    conds: tuple[Conditioning, ...]
    share: float


@dataclass(frozen=True)
class Denoise(Call):
    """Predict x0 at noise level ``sigma`` once per conditioning.

    x: (1, C, h, w) in the sampler's space (variance-exploding scale for eps/v models; ``(1 - sigma) * x0 + sigma * noise`` for flow).
    ``perturbations``: one for each conditioning (None: the network as it is), or none at all. ``lead``: whom the rows follow,
    computed beside them and not answered.
    Reply: `Denoised` whose ``predictions`` are ordered like ``conds``.
    """

    batched: ClassVar[bool] = True
    logged: ClassVar[bool] = True
    model: ModelRef
    x: Tensor
    sigma: float
    conds: tuple[Conditioning, ...]
    patches: tuple[Patch, ...] = ()
    controls: tuple[Control, ...] = ()
    perturbations: tuple[Perturbation | None, ...] = ()
    lead: Lead | None = None

    def perturbation(self, row: int) -> Perturbation | None:
        """That of the conditioning number ``row``."""
        return self.perturbations[row] if self.perturbations else None


@dataclass(frozen=True)
class Denoised:
    """The denoiser's answer to a sampler.

    denoised: x0 after guidance, shaped like x. uncond: the unconditional x0 (CFG++ samplers need it); equals ``denoised`` without
    guidance. predictions: x0 per conditioning, as the model gave them. spread: of a model that learned how much noise a step adds, like x,
    0 for the smaller and 1 for the larger variance that it may have (`gesso.model.Part`).
    """

    denoised: Tensor
    uncond: Tensor
    predictions: tuple[Tensor, ...] = ()
    spread: Tensor | None = None


@dataclass(frozen=True)
class Loss:
    """A differentiable function of x0: a method of ``model``, given ``inputs`` and what x0 decodes to, ``picture`` (1, 3, H, W) in 0..1. It
    gives one number, as a tensor.
    """

    model: ModelRef
    method: str
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DenoiseGrad(Call):
    """``denoise``, and the gradients on x of losses of the x0 of its first conditioning. Reply: `Graded`."""

    batched: ClassVar[bool] = True
    logged: ClassVar[bool] = True
    denoise: Denoise
    losses: tuple[Loss, ...]


@dataclass(frozen=True)
class Graded:
    """What ``denoise`` alone would have answered, and each loss with its gradient, shaped like x."""

    denoised: Denoised
    losses: tuple[float, ...]
    gradients: tuple[Tensor, ...]


@dataclass(frozen=True)
class NextTokens(Call):
    """Draw the token that follows ``tokens`` in the sequence that ``cond`` begins: the one at ``u`` (0 <= u < 1) of its distribution.

    ``sequence``: a number of the job's own, for as long as it goes on with the same tokens. What the model remembers of it is kept by the
    engine between calls. Reply: `Token`.
    """

    batched: ClassVar[bool] = True
    logged: ClassVar[bool] = True
    model: ModelRef
    cond: Conditioning
    sequence: int
    tokens: tuple[int, ...]
    u: float
    choice: TokenChoice = field(default_factory=TokenChoice)


@dataclass(frozen=True)
class Token:
    """A token and its log-probability under the model, as it is without temperature or cuts."""

    number: int
    log_probability: float


@dataclass(frozen=True)
class EncodeImage(Call):
    """Image (1, 3, H, W) in 0..1 -> latent (1, C, h, w)."""

    batched: ClassVar[bool] = True
    model: ModelRef
    image: Tensor
    patches: tuple[Patch, ...] = ()


@dataclass(frozen=True)
class Decode(Call):
    """Latent (1, C, h, w) -> image (1, 3, H, W) float32 in 0..1."""

    batched: ClassVar[bool] = True
    model: ModelRef
    latent: Tensor
    patches: tuple[Patch, ...] = ()


@dataclass(frozen=True)
class Embed(Call):
    """Pictures, uint8 (H, W, 3) of any sizes, and texts as unit vectors of one space. Reply: (N, D) and (M, D), float32 on the CPU."""

    batched: ClassVar[bool] = True
    model: ModelRef
    pictures: tuple[npt.NDArray[np.uint8], ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Apply(Call):
    """A method of a model that no other call names (one-pass families, upscalers, maps). The model declares its methods."""

    model: ModelRef
    method: str
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Host(Call):
    """Pure CPU work over about 5 ms, run on a thread pool: a module-level function and its arguments. Reply: its value."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Wait(Call):
    """Waiting for another process: ``function(*args)`` on a thread of its own, where it computes nothing, so that it takes no place on the
    thread pool. It ends by itself, also when nobody wants its value any more. Reply: its value.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()


class All:
    """Several calls or generators at once; the reply is a tuple in the same order. The first error closes the siblings."""

    def __init__(self, *items: Call | Job) -> None:
        self.items = items


@dataclass(frozen=True)
class Progress:
    """How far an image is: ``step`` of ``total`` evaluations (total None where a sampler cannot know), ``sigma`` now, ``fraction`` 0..1."""

    image: int
    step: int
    total: int | None
    sigma: float
    fraction: float

    def __post_init__(self) -> None:
        total = self.total or 0  # written out: it is asked at every step
        whole = type(self.image) is int and type(self.step) is int and type(total) is int
        if not (whole and self.image >= 0 and self.step >= 0 and total >= 0 and math.isfinite(self.sigma) and 0.0 <= self.fraction <= 1.0):
            raise ValueError(f"this is no progress: {self}")


@dataclass(frozen=True)
class Preview:
    """The current x0 (1, C, h, w) of image number ``image``. Droppable: the newest wins."""

    image: int
    model: ModelRef
    latent: Tensor

    def __post_init__(self) -> None:
        if not (isinstance(self.latent, Tensor) and self.latent.dim() == 4 and self.latent.shape[0] == 1):
            raise ValueError("a preview is a latent of shape (1, channels, height, width)")


@dataclass(frozen=True)
class Warn:
    """A sentence for the user that belongs to the result."""

    message: str


class Emit:
    """Tell the client something, or several things in order. The reply is None and comes at once."""

    def __init__(self, *events: Progress | Preview | Warn) -> None:
        for event in events:
            if not isinstance(event, (Progress, Preview, Warn)):
                raise TypeError(f"an Emit tells Progress, Preview or Warn, not {type(event).__name__}")
        self.events = events
