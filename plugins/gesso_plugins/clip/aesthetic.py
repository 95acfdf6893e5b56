"""The scorer `aesthetic`: a linear head on CLIP vectors, as LAION fitted to ratings of people. None ships; the owner names a file."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.engine import Embed, Host
from gesso.errors import ModelError
from gesso.media.preparing import SMALLEST
from gesso.plugin import ScoreContext, scorer
from gesso_plugins.clip.choice import embedder

BEST = 10.0
"""What heads give to the best: people rated from 1 to 10."""
Head = tuple[npt.NDArray[np.float32], float]


@scorer("aesthetic", title="Aesthetic head", paper="Schuhmann et al. 2022, LAION-Aesthetics: a linear model on CLIP's image vectors")
def aesthetic(ctx: ScoreContext) -> Generator[Any, Any, Sequence[float]]:
    """(weight x vector + bias) / 10, between 0 and 1; the setting ``aesthetic`` of plugins.clip names the head's file."""
    named = ctx.options.get("aesthetic")
    if not isinstance(named, str):
        raise ModelError("No aesthetic head is set", hint="Name one in config.toml, as aesthetic of plugins.clip.")
    model = embedder(ctx.job, ctx.options)
    weight, bias = yield Host(read_head, (Path(named).expanduser(),))
    large = [place for place, picture in enumerate(ctx.pictures) if min(picture.shape[:2]) >= SMALLEST]
    scores = [float("nan")] * len(ctx.pictures)
    if large:
        seen, _ = yield Embed(model, tuple(ctx.pictures[place] for place in large))
        if seen.shape[1] != len(weight):
            raise ModelError(f"The head {named} takes vectors of {len(weight)} numbers, and the model {model.name!r} gives {seen.shape[1]}")
        for place, rating in zip(large, (seen.numpy() @ weight + bias).tolist(), strict=True):
            scores[place] = min(max(rating / BEST, 0.0), 1.0)
    return scores


def read_head(path: Path) -> Head:
    """The tensors ``weight``, (D) or (1, D), and ``bias``, one number; ModelError says what is wrong with the file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
        weight, bias = tensors["weight"].astype(np.float32).reshape(-1), tensors["bias"].astype(np.float32).reshape(())
    except (OSError, SafetensorError, KeyError, ValueError) as fault:
        said = f"it has no tensor {fault}" if isinstance(fault, KeyError) else str(fault)
        raise ModelError(f"The aesthetic head {path} cannot be read: {said}") from fault
    return weight, float(bias)
