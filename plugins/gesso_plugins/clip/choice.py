"""Which model compares pictures with words: the owner's choice, else the first that can; and how its directory wants pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gesso.engine import ModelRef
from gesso.library import read_json
from gesso.plugin import JobContext

CAPABILITY, JUDGES, LIKENS = "embed", "judge", "likeness"


def embedder(ctx: JobContext, options: Mapping[str, Any]) -> ModelRef:
    """The model that ``[plugins.clip] model`` names in config.toml, or the first that can embed."""
    card = ctx.model(options.get("model"), capability=CAPABILITY)
    return ModelRef(card.name, card.digest)


def preparation(path: Path) -> Mapping[str, Any]:
    """How pictures are prepared, from `preprocessor_config.json`; {} where there is none."""
    file = path / "preprocessor_config.json"
    return read_json(file) if file.is_file() else {}
