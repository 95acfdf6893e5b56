"""Folders of pictures with their words, as finetuning and evaluation take them; what is wrong with one is said in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gesso.errors import DataError, GessoError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
CAPTIONS = ("caption", "text", "prompt")
FILES = ("file_name", "image", "file")
"""Names in use for the two fields of a caption file."""

Read = TypeVar("Read")


def captioned(folder: Path, prompt: str | None) -> list[tuple[Path, str]]:
    """The pictures of a folder in the order of their names, each with its words. ``prompt``: the words of every picture, whatever lies
    beside it. DataError where there is no folder, no caption or none that can be read.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", field="data", hint="Name a folder of pictures.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    if prompt is not None:
        return [(path, prompt) for path in paths]
    captions = _captions(folder, paths)
    return [(path, captions[path.name]) for path in paths]


def read_each(given: Iterable[tuple[str, Callable[[], Read]]], where: str) -> list[Read]:
    """What reading each of (name, reading) gives; one DataError names those that cannot be read, or says that there are none."""
    found, faults = [], []
    for name, read in given:
        try:
            found.append(read())
        except (GessoError, OSError) as fault:
            faults.append(f"{name} ({getattr(fault, 'message', fault)})")
    if faults:
        said = f"{len(faults)} of {len(faults) + len(found)} pictures of {where} cannot be read; the first is {faults[0]}."
        raise DataError(said, field="data", hint="Mend those pictures, or take them out.", details={"pictures": faults[:20]})
    if not found:
        raise DataError(f"There are no pictures in {where}.", field="data", hint=f"Pictures end in {', '.join(ENDINGS)}.")
    return found


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
