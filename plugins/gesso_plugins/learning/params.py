"""What `learn` takes. No torch here: schemas are compiled from this module, and clients are drawn from the schemas."""

from __future__ import annotations

from pydantic import Field

from gesso.plugin.fields import SEED_MAX, InputBlob, Tile, ui
from gesso.plugin.operations import OperationParams
from gesso_plugins.learning.recipe import Recipe, Where

MOST = 64
DEFAULTS = Recipe()


class LearnParams(OperationParams):
    """Parameters of `learn`."""

    images: list[InputBlob] = Field(
        title="Images", min_length=1, max_length=MOST, json_schema_extra=ui("image", 10, "image", positional=True)
    )
    """The pictures to learn from; ten show a style."""

    prompt: str = Field(title="Words", min_length=1, max_length=1000, json_schema_extra=ui("text", 20, "prompt"))
    """What all of them show, in the words that will call it up."""

    name: str | None = Field(None, title="Name", pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$", json_schema_extra=ui("text", 30, "prompt"))
    """What the LoRA is called, in small letters; by default as the words. Where the name is taken, a number is added."""

    model: str | None = Field(
        None, title="Model", min_length=1, max_length=200, json_schema_extra=ui("model", 40, "sampling", choices="models")
    )
    """The model that learns; by default the first that can."""

    steps: int = Field(
        DEFAULTS.steps, title="Steps", ge=1, le=100_000, json_schema_extra=ui("slider", 50, "sampling", span=(100, 2000, 50))
    )
    """Steps; more learn more, and in the end by heart."""

    rank: int = Field(DEFAULTS.rank, title="Rank", ge=1, le=256, json_schema_extra=ui("slider", 60, "sampling", span=(1, 64, 1)))
    """Numbers between the two factors of each layer's change: how much it can hold."""

    rate: float = Field(
        DEFAULTS.learning_rate,
        title="Rate",
        gt=0,
        le=1,
        json_schema_extra=ui("slider", 70, "advanced", advanced=True, span=(1e-4, 5e-3, 1e-4)),
    )
    """The learning rate."""

    batch: int = Field(
        DEFAULTS.batch, title="Batch", ge=1, le=64, json_schema_extra=ui("slider", 80, "advanced", advanced=True, span=(1, 16, 1))
    )
    """Pictures a step."""

    layers: Where = Field(DEFAULTS.layers, title="Layers", json_schema_extra=ui("choice", 90, "advanced", advanced=True))
    """Which layers change: those of attention alone, or all."""

    size: int | None = Field(None, title="Size", ge=16, le=4096, json_schema_extra=ui("size", 100, "advanced", advanced=True))
    """The side of a square of the area at which pictures are learned; by default the model's own."""

    tile: Tile = Field("none", title="Tile", json_schema_extra=ui("tile", 110, "image"))
    """The axes along which the pictures wrap around."""

    seed: int | None = Field(None, title="Seed", ge=0, le=SEED_MAX, json_schema_extra=ui("seed", 120, "sampling"))
    """Seed of what is drawn; chosen at random when it is left out."""

    @property
    def recipe(self) -> Recipe:
        """The numbers as learning takes them."""
        assert self.seed is not None
        return Recipe(
            steps=self.steps,
            rank=self.rank,
            alpha=float(self.rank),
            layers=self.layers,
            learning_rate=self.rate,
            batch=self.batch,
            size=self.size,
            tile=self.tile,
            seed=self.seed,
        )
