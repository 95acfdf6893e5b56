"""Pictures with their words, from a folder or from a job; what is wrong with them is said in one sentence. It trains nothing."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gesso.errors import DataError, GessoError
from gesso.media import images
from gesso.media.images import Picture
from gesso.model import ModelCard

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
CAPTIONS = ("caption", "text", "prompt")
FILES = ("file_name", "image", "file")
"""Names in use for the two fields of a caption file."""


@dataclass(frozen=True)
class Sample:
    """A picture and its words. image: (1, 3, H, W) in 0..1. digest: of its pixels as they were before they were scaled."""

    name: str
    image: Tensor
    caption: str
    digest: str


def read_folder(folder: Path, prompt: str | None, card: ModelCard, size: int | None) -> list[Sample]:
    """All pictures of a folder in the order of their names. ``prompt``: the words of every picture, whatever lies beside it."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} to learn from.", field="data", hint="Name a folder of pictures.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    captions = dict.fromkeys((path.name for path in paths), prompt) if prompt is not None else _captions(folder, paths)
    return read_pictures([(path.name, path.read_bytes, captions[path.name] or "") for path in paths], str(folder), card, size)


def read_pictures(given: Iterable[tuple[str, Callable[[], Picture], str]], where: str, card: ModelCard, size: int | None) -> list[Sample]:
    """Samples of (name, content, words); DataError names those that cannot be read."""
    samples, faults = [], []
    for name, content, caption in given:
        try:
            samples.append(_sample(name, content(), caption, card, size))
        except (GessoError, OSError) as fault:
            faults.append(f"{name} ({getattr(fault, 'message', fault)})")
    if faults:
        said = f"{len(faults)} of {len(faults) + len(samples)} pictures of {where} cannot be read; the first is {faults[0]}."
        raise DataError(said, field="data", hint="Mend those pictures, or take them out.", details={"pictures": faults[:20]})
    if not samples:
        raise DataError(f"There are no pictures in {where}.", field="data", hint=f"Pictures end in {', '.join(ENDINGS)}.")
    return samples


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


def _sample(name: str, content: Picture, caption: str, card: ModelCard, size: int | None) -> Sample:
    pixels = images.decode(content, "picture")
    seen = np.ascontiguousarray(images.quantised(pixels, 8))
    digest = hashlib.sha256(repr(seen.shape).encode() + seen.tobytes()).hexdigest()
    return Sample(name, images.to_planes(pixels, *bucket(pixels.shape[1], pixels.shape[0], card, size)), caption, digest)


def _captions(folder: Path, paths: Sequence[Path]) -> dict[str, str]:
    """Words by the name of the picture: of a .jsonl file, else of a .txt or .json file beside each."""
    listed: dict[str, str] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(_text(path).splitlines(), 1):
            if line.strip():
                entry = _parsed(line, f"line {number} of {path}")
                listed[_field(entry, FILES)] = _field(entry, CAPTIONS)
    found = {path.name: listed.get(path.name) or _beside(path) for path in paths}
    missing = [name for name, caption in found.items() if not caption]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(found)} pictures in {folder} have no caption; the first is {missing[0]}.",
            field="data",
            hint="Write the words into a .txt file of the picture's name, or say --prompt WORDS for all of them.",
            details={"pictures": missing[:20]},
        )
    return found


def _beside(path: Path) -> str:
    text, document = path.with_suffix(".txt"), path.with_suffix(".json")
    if text.is_file():
        return " ".join(_text(text).split())
    return _field(_parsed(_text(document), str(document)), CAPTIONS) if document.is_file() else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        said = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise DataError(f"The captions in {path} cannot be read: {said}.", field="data") from fault


def _parsed(text: str, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise DataError(f"The captions in {where} are no JSON.", field="data", hint="Write one object a picture.") from fault
    if not isinstance(value, dict):
        raise DataError(f"The captions in {where} are no JSON object.", field="data", hint="Write one object a picture.")
    return value


def _field(entry: Mapping[str, Any], names: Sequence[str]) -> str:
    found = next((entry[name] for name in names if isinstance(entry.get(name), str)), "")
    return " ".join(str(found).split())
