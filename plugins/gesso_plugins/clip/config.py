"""Every number of the small CLIP's recipe, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field

from gesso.training.run import RunConfig

HELD_OUT_MATERIALS = ("subway_tiles", "hammered_metal", "parquet", "gravel", "snake_skin", "tiger", "ice", "chevron")
"""Whole materials that are never trained on: what the model says of them is what it says of the unknown."""


@dataclass(frozen=True)
class TowerConfig:
    """One transformer."""

    width: int
    layers: int
    heads: int


@dataclass(frozen=True)
class ModelConfig:
    """Both towers and where they meet. About 2.3 million numbers: under 5 MB in half precision."""

    vocabulary: int = 1536
    length: int = 32
    captions: int = 6000
    image: int = 128
    patch: int = 16
    text: TowerConfig = TowerConfig(width=128, layers=3, heads=4)
    vision: TowerConfig = TowerConfig(width=144, layers=5, heads=6)
    projection: int = 128
    temperature: float = 0.07
    sharpest: float = 0.01


SECOND_MODEL = ModelConfig(text=TowerConfig(width=160, layers=2, heads=5), vision=TowerConfig(width=160, layers=4, heads=5), projection=96)
"""Another shape for the second scorer, which measures what the first has guided or chosen. It fits the same budget."""


@dataclass(frozen=True)
class DataConfig:
    """Renders: `minimum` must exist before training starts, the rest grow beside it. `crop`: pictures are cropped, not blurred."""

    held_out: tuple[str, ...] = HELD_OUT_MATERIALS
    minimum: int = 5_120
    target: int = 32_768
    shard: int = 256
    validation: int = 1_024
    refresh_every: int = 100
    workers: int = 1
    crop: bool = False


@dataclass(frozen=True)
class ClipConfig(RunConfig):
    """One run of `gesso train clip`: where it lives, how long it may take, and its numbers."""

    steps: int = 2_600
    batch: int = 128
    kin: int = 8
    matrix_learning_rate: float = 0.01
    learning_rate: float = 1e-3
    warmup: int = 100
    decay_start: float = 0.3
    final_rate: float = 0.02
    ema: float = 0.998
    validate_every: int = 250
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
