"""Pictures that follow one of them: the lead is sampled first and what it was at each moment is kept; the others are denoised beside it
(Hertz et al. 2024, StyleAligned, arXiv 2312.02133).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from gesso.engine.calls import Denoise, Denoised, DenoiseGrad, Lead
from gesso.engine.denoiser import relayed
from gesso.engine.drive import Denoiser
from gesso.errors import InvalidRequest
from gesso.model import Conditioning


@dataclass(frozen=True)
class Leading:
    """The picture that others follow. ``cond``: of its prompt; ``share``: how much they take on (`gesso.engine.calls.Lead`); ``moments``:
    its noise level and x at each of its calls, in their order, which `recorded` fills.
    """

    cond: Conditioning
    share: float
    moments: list[tuple[float, Tensor]] = field(default_factory=list)


def recorded(denoiser: Denoiser, leading: Leading) -> Denoiser:
    """Keep what the lead's calls see."""

    def watched(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        def kept(call: Any) -> Any:
            if (asked := _denoise(call)) is not None:
                leading.moments.append((asked.sigma, asked.x))
            return call

        return (yield from relayed(denoiser(x, sigma), kept, lambda _, reply: reply))

    return watched


def led(denoiser: Denoiser, leading: Leading, prompt: Conditioning) -> Denoiser:
    """Every `Denoise` beside the lead's of the same moment. Rows of the ``prompt`` follow the lead's prompt, all others their own words."""
    moments = iter(leading.moments)

    def following(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        def beside(call: Any) -> Any:
            asked = _denoise(call)
            if asked is None:
                return call
            level, seen = next(moments, (None, asked.x))
            if level != asked.sigma:
                raise InvalidRequest("The sampler takes other steps for each picture; they cannot follow one.", field="align")
            conds = tuple(leading.cond if cond is prompt else cond for cond in asked.conds)
            _fitting(asked.conds, conds)
            follows = replace(asked, lead=Lead(seen, conds, leading.share))
            return follows if isinstance(call, Denoise) else replace(call, denoise=follows)

        return (yield from relayed(denoiser(x, sigma), beside, lambda _, reply: reply))

    return following


def _denoise(call: Any) -> Denoise | None:
    return call if isinstance(call, Denoise) else call.denoise if isinstance(call, DenoiseGrad) else None


def _fitting(own: Sequence[Conditioning], lead: Sequence[Conditioning]) -> None:
    if any(mine.layout() != its.layout() for mine, its in zip(own, lead, strict=True)):
        raise InvalidRequest(
            "The lead's prompt is read as another number of tokens, so that the two cannot be computed side by side.",
            field="align_prompt",
            hint="Make both about as long.",
        )
