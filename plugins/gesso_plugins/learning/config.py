"""One run of `gesso finetune`, as a frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field

from gesso.training.run import RunConfig
from gesso_plugins.learning.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(RunConfig):
    """One run of `gesso finetune`. validate_every: steps between looks at the held-out pictures; patience: so many looks without a better
    one end the run.
    """

    recipe: Recipe = field(default_factory=Recipe)
    ema: float = 0.0
    sheet_every: int = 200
    validate_every: int = 50
    patience: int = 6
    save_minutes: float = 2.0
