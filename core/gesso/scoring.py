"""Asks scorers for a job and combines what they say. A scorer that fails costs its score, not the pictures: the job is warned."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.engine import All, CallError, Emit, Warn
from gesso.plugin import JobContext, ScoreContext, ScorerSpec
from gesso.plugin.choosing import Scores

_log = logging.getLogger(__name__)
Pictures = Sequence[npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Shown:
    """What scorers are asked about."""

    pictures: Pictures
    prompt: str = ""
    tile: str = "none"
    progress: float = 1.0


def scored(ctx: JobContext, asked: Mapping[str, float], shown: Shown) -> Generator[Any, Any, list[Scores]]:
    """The weighted mean of the scorers that have an answer, for each picture; all scorers work at once."""
    specs = [ctx.scorer(name) for name in asked]
    parts = yield All(*(_asked(ctx, spec, shown) for spec in specs))
    found = {spec.name: scores for spec, scores in zip(specs, parts, strict=True) if scores is not None}
    return [_combined(asked, {name: scores[i] for name, scores in found.items()}) for i in range(len(shown.pictures))]


def _combined(asked: Mapping[str, float], parts: Mapping[str, float | None]) -> Scores:
    had = {name: part for name, part in parts.items() if part is not None}
    total = sum(abs(asked[name]) for name in parts)
    if len(had) < len(parts) or not total:
        return Scores(None, had)  # beside pictures that have every part it cannot be compared
    return Scores(sum(asked[name] * part for name, part in had.items()) / total, had)


def _asked(ctx: JobContext, spec: ScorerSpec, shown: Shown) -> Generator[Any, Any, list[float | None] | None]:
    """One scorer's scores, None for a picture that it has no number for, or None at all where it failed."""
    if spec.prompted and not shown.prompt.strip():
        yield Emit(Warn(f"The scorer {spec.name!r} compares pictures with a prompt, and there is none; its score is missing."))
        return None
    options = ctx.options("scorers", spec.name)
    try:
        scores = yield from spec.function(ScoreContext(ctx, shown.pictures, shown.prompt, shown.tile, shown.progress, options))
        if len(scores) != len(shown.pictures):
            raise ValueError(f"it gave {len(scores)} scores for {len(shown.pictures)} pictures")
        numbers = [float(score) for score in scores]
    except MemoryError:
        raise
    except (Exception, SystemExit) as fault:
        said = " ".join(str(fault).split())[:200].rstrip(".") or type(fault).__name__
        if not isinstance(fault, CallError):
            _log.exception("the scorer %s failed", spec.name)
        yield Emit(Warn(f"The scorer {spec.name!r} failed, and its score is missing: {said}."))
        return None
    missing = sum(not math.isfinite(number) for number in numbers)
    if missing:
        yield Emit(Warn(f"The scorer {spec.name!r} had no number for {missing} of {len(numbers)} pictures; they come last."))
    return [number if math.isfinite(number) else None for number in numbers]
