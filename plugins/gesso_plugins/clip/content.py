"""The content check: what an owner does not want to see, as words with thresholds, and what happens to a picture that looks like them. Off
until the owner lists words. It judges as well as its model does, and no better.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.engine import Apply, Embed, ModelRef
from gesso.errors import PluginError, Refused
from gesso.media import Output
from gesso.media.preparing import SMALLEST
from gesso.plugin import ResultContext, result_filter
from gesso_plugins.clip.choice import JUDGES, embedder

ACTIONS = ("flag", "blur", "refuse")
CELLS = 8
"""What a blurred picture keeps: the mean colours of so many cells a side."""
Pixels = npt.NDArray[Any]


@result_filter("content_check", title="Content check", order=40)
def content_check(ctx: ResultContext) -> Generator[Any, Any, Sequence[Output]]:
    """Compares each picture with each concept, as the checker of Stable Diffusion does: over its threshold it is found."""
    concepts, action = settings(ctx.options)
    checker = ctx.options.get("safety_checker")
    faces = tuple(face(output.pixels) for output in ctx.outputs) if concepts or checker else ()
    found: dict[int, dict[str, float]] = {}
    if concepts:
        seen, read = yield Embed(embedder(ctx.job, ctx.options), faces, tuple(concepts))
        for output, cosines in zip(ctx.outputs, (seen @ read.T).tolist(), strict=True):
            for (concept, threshold), cosine in zip(concepts.items(), cosines, strict=True):
                if cosine > threshold:
                    found.setdefault(output.index, {})[concept] = round(cosine, 4)
    if checker:
        card = ctx.job.model(checker, capability=JUDGES)
        verdicts = yield Apply(ModelRef(card.name, card.digest), "judge", {"pictures": faces})
        for output, verdict in zip(ctx.outputs, verdicts, strict=True):
            if verdict:
                found.setdefault(output.index, {})[f"what {card.name} finds"] = 1.0
    if found and action == "refuse":
        names = sorted({name for concepts_found in found.values() for name in concepts_found})
        raise Refused(
            f"The picture was held back: it looks like {', '.join(map(repr, names))}.",
            hint="The owner of this Gesso set this up in config.toml, as content_check of plugins.clip.",
        )
    return [_treated(output, action, found[output.index]) if output.index in found else output for output in ctx.outputs]


def settings(options: Mapping[str, Any]) -> tuple[Mapping[str, float], str]:
    """Thresholds by concept, and what to do; PluginError for what cannot be meant."""
    concepts, action = options.get("content_check", {}), options.get("content_action", "flag")
    numbers = isinstance(concepts, dict) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and -1 <= value <= 1 for value in concepts.values()
    )
    if not numbers or action not in ACTIONS:
        raise PluginError(
            "In config.toml, plugins.clip needs content_check = { words = threshold from -1 to 1, ... }"
            f" and content_action = one of {', '.join(ACTIONS)}."
        )
    return concepts, str(action)


def _treated(output: Output, action: str, concepts: Mapping[str, float]) -> Output:
    treated = replace(output, pixels=blurred(output.pixels)) if action == "blur" else output
    return treated.noted("content_check", action=action, concepts=dict(concepts))


def face(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """What a model can look at: uint8 colours of at least the smallest size; small pictures are repeated, so that none slips through."""
    if pixels.dtype.kind == "f":
        pixels = (np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    elif pixels.dtype != np.uint8:
        pixels = (pixels >> 8 * (pixels.dtype.itemsize - 1)).astype(np.uint8)
    colours = pixels[..., None] if pixels.ndim == 2 else pixels
    colours = colours[..., :3] if colours.shape[2] >= 3 else colours[..., :1].repeat(3, axis=2)
    times = [-(-SMALLEST // side) for side in colours.shape[:2]]
    return np.ascontiguousarray(colours.repeat(times[0], axis=0).repeat(times[1], axis=1))


def blurred(pixels: Pixels) -> Pixels:
    """Means of `CELLS` by `CELLS` cells: nothing else of the picture is left in it."""
    result = pixels.astype(np.float64)
    for axis in (0, 1):
        side = pixels.shape[axis]
        cells = min(CELLS, side)
        starts = np.arange(cells) * side // cells
        lengths = np.diff(np.append(starts, side))
        shape = [1] * result.ndim
        shape[axis] = cells
        means = np.add.reduceat(result, starts, axis=axis) / lengths.reshape(shape)
        result = means.repeat(lengths, axis=axis)
    return result.astype(pixels.dtype)
