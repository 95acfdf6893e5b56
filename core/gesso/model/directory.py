"""Directories as transformers saves one network: the card of such a model, from its configuration files alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gesso.errors import ModelError
from gesso.library import hashes, read_json, weight_files
from gesso.library.snapshot import refuse_code
from gesso.manifest import ModelEntry
from gesso.model.card import Limits, ModelCard

SMALLEST, LARGEST = 8, 16_384
PREPROCESSOR = "preprocessor_config.json"


def directory_card(entry: ModelEntry, family: str, classes: tuple[str, ...], capabilities: Iterable[str]) -> ModelCard:
    """The card of a directory whose configuration names one of ``classes``; its ``info`` has ``architecture`` and ``bytes``. Raises
    ModelError with the fix.
    """
    path = entry.path
    if path is None or not (path / "config.json").is_file():
        raise ModelError(f"The model {entry.name!r} has no config.json at {path}.", hint="Give a directory as transformers saves it.")
    refuse_code(path)
    architecture = (read_json(path / "config.json").get("architectures") or [""])[0]
    if architecture not in classes:
        raise ModelError(f"{path} is a {architecture!r}; the family {family!r} runs {' and '.join(classes)}.")
    weights = weight_files(path)
    return ModelCard(
        name=entry.name,
        family=family,
        digest=hashes.shared.of_files(path, [path / "config.json", *weights]),
        title=entry.title,
        path=path,
        capabilities=frozenset(capabilities),
        limits=Limits(SMALLEST, LARGEST, 1),
        licence=entry.licence,
        info={"architecture": architecture, "bytes": str(sum(file.stat().st_size for file in weights))},
    )


def preparation(path: Path) -> Mapping[str, Any]:
    """How pictures are prepared, from `preprocessor_config.json`; {} where there is none."""
    file = path / PREPROCESSOR
    return read_json(file) if file.is_file() else {}
