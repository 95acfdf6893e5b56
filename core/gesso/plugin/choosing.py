"""Best of N, for every operation that makes pictures: the parameters, their checks, and the choice among what was made.

An operation whose Params have these fields (``prune`` and ``draft`` only where it samples step by step) makes ``candidates(params)``
pictures in place of ``count``, and hands what it made to `choose`. Nothing is scored here: ``ctx.scores`` asks the scorers.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Field

from gesso.errors import InvalidRequest
from gesso.plugin.fields import SEED_MAX, ui

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gesso.media import Output
    from gesso.plugin.context import JobContext, ResolveContext

MOST = 100

BestOf = Annotated[
    int | None,
    Field(
        title="Best of",
        ge=1,
        le=MOST,
        description="How many pictures are made, of which the best are kept; picture i has the seed `seed + i`.",
        json_schema_extra=ui("count", 200, "choice", advanced=True),
    ),
]
Keep = Annotated[
    int | None,
    Field(
        title="Keep",
        ge=1,
        le=MOST,
        description="How many of the best are kept, the best first; by default `count`.",
        json_schema_extra=ui("count", 201, "choice", advanced=True),
    ),
]
Score = Annotated[
    dict[str, float],
    Field(
        title="Score",
        max_length=20,
        description="What counts, as weights by scorer, such as clip=1,seam=0.5. Pictures are scored without best_of too.",
        json_schema_extra=ui("hidden", 202, "choice", advanced=True, choices="scorers"),
    ),
]
Prune = Annotated[
    list[Annotated[float, Field(gt=0, lt=1)]],
    Field(
        title="Prune",
        max_length=10,
        description="Fractions of the run at which previews are scored and the worst candidates given up, such as 0.3 and 0.6.",
        json_schema_extra=ui("hidden", 203, "choice", advanced=True),
    ),
]

Draft = Annotated[
    int | None,
    Field(
        title="Draft",
        ge=1,
        le=1000,
        description="Steps of a draft: each candidate is made in so few first, and the best drafts are made in full.",
        json_schema_extra=ui("count", 204, "choice", advanced=True),
    ),
]


class Choosing(Protocol):
    """Parameters of an operation with best of N; those with ``prune`` have that as well."""

    @property
    def count(self) -> int:
        """How many pictures are asked for."""
        ...

    @property
    def seed(self) -> int | None:
        """Seed of the first."""
        ...

    @property
    def best_of(self) -> int | None:
        """How many are made."""
        ...

    @property
    def keep(self) -> int | None:
        """How many are kept."""
        ...

    @property
    def score(self) -> dict[str, float]:
        """Weights by scorer."""
        ...


@dataclass(frozen=True)
class Scores:
    """What scorers say of one picture: the weighted mean, and the parts. ``total`` None: no part of it could be had."""

    total: float | None
    parts: Mapping[str, float] = field(default_factory=dict)


def alone(params: Any, seed: int) -> dict[str, Any]:
    """The parameters of the job that makes just the picture of that seed, without the others that it was chosen from."""
    choosing: dict[str, Any] = {"best_of": None, "keep": None, "score": {}, "prune": [], "draft": None, "preview_vae": None}
    fields: dict[str, Any] = {**choosing, "count": 1, "seed": seed}
    known = {name: value for name, value in fields.items() if name in type(params).model_fields}
    made: dict[str, Any] = params.model_copy(update=known).model_dump(mode="json")
    return made


def settled(ctx: ResolveContext, params: Choosing) -> dict[str, Any]:
    """The four fields complete and checked; for an operation's ``resolve``. Settling them again changes nothing."""
    score = weights(ctx, params.score)
    prune: list[float] = list(getattr(params, "prune", ()))
    if params.best_of is None:
        for name, given in (("keep", params.keep), ("prune", prune), ("draft", getattr(params, "draft", None))):
            if given:
                raise InvalidRequest(f"{name!r} chooses among several pictures.", field=name, hint="Say how many with best_of.")
        return {"score": score}
    keep = params.count if params.keep is None else params.keep
    if params.count not in (1, keep):
        raise InvalidRequest(f"Both count ({params.count}) and keep ({keep}) were given.", field="keep", hint="Leave one of them out.")
    if keep > params.best_of:
        raise InvalidRequest(
            f"{keep} pictures cannot be kept of {params.best_of}.", field="keep", hint=f"Keep at most {params.best_of}, or make more."
        )
    if params.seed is not None and params.seed + params.best_of - 1 > SEED_MAX:
        raise InvalidRequest(f"The seed of the last picture would be over {SEED_MAX}; choose a smaller seed.", field="seed")
    if prune != sorted(set(prune)):
        raise InvalidRequest("The fractions at which candidates are given up must rise.", field="prune", hint="For example 0.3, then 0.6.")
    return {"score": score or {ctx.scorer(None).name: 1.0}, "keep": keep, "count": 1}


def weights(ctx: ResolveContext, score: Mapping[str, float], field_name: str = "score") -> dict[str, float]:
    """Weights by canonical names; InvalidRequest names an unknown scorer and the nearest, or weights that all are zero."""
    found = {ctx.scorer(name).name: float(weight) for name, weight in score.items()}
    if score and not any(found.values()):
        raise InvalidRequest("All weights of the score are zero.", field=field_name, hint="Give one scorer a weight, such as 1.")
    return found


def candidates(params: Choosing) -> int:
    """How many pictures to make."""
    return params.count if params.best_of is None else params.best_of


def survivors(made: int, keep: int, stages: int) -> list[int]:
    """How many candidates are left after each pruning: from all that are made to those that are kept, by equal factors."""
    share = keep / made
    return [max(keep, round(made * share ** (stage / stages))) for stage in range(1, stages + 1)]


def best(scores: Sequence[Scores], keep: int) -> list[int]:
    """The places of the ``keep`` best, the best first; of equal ones the earlier, and those without a score last."""
    return sorted(range(len(scores)), key=lambda i: (scores[i].total is None, -(scores[i].total or 0.0), i))[:keep]


def choose(
    ctx: JobContext, params: Choosing, outputs: Sequence[Output], faces: Sequence[npt.NDArray[np.uint8]] = ()
) -> Generator[Any, Any, list[Output]]:
    """The outputs with their scores; with ``best_of`` only those of the best pictures, the best first, numbered anew.

    ``faces``: what scorers are to see of each picture, sRGB (H, W, 3), where its outputs have other depths or colours.
    """
    if not params.score:
        return list(outputs)
    groups: dict[int, list[Output]] = {}
    for output in outputs:
        groups.setdefault(output.index, []).append(output)
    shown = list(faces) or [_face(group).pixels[..., :3] for group in groups.values()]
    words, tile = getattr(params, "prompt", ""), getattr(params, "tile", "none")
    found: Sequence[Scores] = yield from ctx.scores(params.score, shown, prompt=words, tile=tile)
    order = range(len(groups)) if params.best_of is None else best(found, params.keep or params.count)
    ranked = list(groups.values())
    return [
        replace(output, index=place, score=found[i].total, info={**output.info, "scores": dict(found[i].parts)})
        for place, i in enumerate(order)
        for output in ranked[i]
    ]


def _face(group: Sequence[Output]) -> Output:
    """The output that stands for a picture: the first with colours."""
    return next((output for output in group if output.pixels.ndim == 3 and output.pixels.dtype.itemsize == 1), group[0])
