"""Which model compares pictures with words: the owner's choice, else the first that can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesso.engine import ModelRef
from gesso.plugin import JobContext

CAPABILITY, JUDGES, LIKENS = "embed", "judge", "likeness"


def embedder(ctx: JobContext, options: Mapping[str, Any]) -> ModelRef:
    """The model that ``[plugins.clip] model`` names in config.toml, or the first that can embed."""
    card = ctx.model(options.get("model"), capability=CAPABILITY)
    return ModelRef(card.name, card.digest)
