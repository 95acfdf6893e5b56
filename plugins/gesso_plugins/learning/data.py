"""Pictures with their words, from a folder or from a job; what is wrong with them is said in one sentence. It trains nothing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from gesso.errors import DataError
from gesso.media import images
from gesso.media.images import Picture
from gesso.model import ModelCard
from gesso.training.folders import captioned, read_each


@dataclass(frozen=True)
class Sample:
    """A picture and its words. image: (1, 3, H, W) in 0..1. digest: of its pixels as they were before they were scaled."""

    name: str
    image: Tensor
    caption: str
    digest: str


def read_folder(folder: Path, prompt: str | None, card: ModelCard, size: int | None) -> list[Sample]:
    """All pictures of a folder in the order of their names. ``prompt``: the words of every picture, whatever lies beside it."""
    found = captioned(folder, prompt)
    return read_pictures([(path.name, path.read_bytes, words) for path, words in found], str(folder), card, size)


def read_pictures(given: Iterable[tuple[str, Callable[[], Picture], str]], where: str, card: ModelCard, size: int | None) -> list[Sample]:
    """Samples of (name, content, words); DataError names those that cannot be read."""
    return read_each([(name, partial(_sample, name, content, words, card, size)) for name, content, words in given], where)


def refuse_shared(samples: Sequence[Sample], held_out: Sequence[Sample]) -> None:
    """A picture that is learned from says nothing about what was learned."""
    known = {sample.digest: sample.name for sample in samples}
    both = [f"{sample.name} (there {known[sample.digest]})" for sample in held_out if sample.digest in known]
    if both:
        raise DataError(
            f"{len(both)} of the {len(held_out)} held-out pictures are also learned from; the first is {both[0]}.",
            field="held_out",
            hint="Take them out of one of the two folders.",
            details={"pictures": both[:20]},
        )


def bucket(width: int, height: int, card: ModelCard, size: int | None) -> tuple[int, int]:
    """The size that a picture is learned at: of its shape, and of the area that the model makes by default or of ``size`` squared."""
    area = size * size if size is not None else card.defaults.width * card.defaults.height
    scale = math.sqrt(area / (width * height))
    return card.limits.nearest(round(width * scale)), card.limits.nearest(round(height * scale))


def _sample(name: str, content: Callable[[], Picture], caption: str, card: ModelCard, size: int | None) -> Sample:
    pixels = images.decode(content(), "picture")
    seen = np.ascontiguousarray(images.quantised(pixels, 8))
    digest = hashlib.sha256(repr(seen.shape).encode() + seen.tobytes()).hexdigest()
    return Sample(name, images.to_planes(pixels, *bucket(pixels.shape[1], pixels.shape[0], card, size)), caption, digest)
