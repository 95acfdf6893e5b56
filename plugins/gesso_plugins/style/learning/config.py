"""Every number of the style network's recipe, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field

from gesso.training.run import RunConfig


@dataclass(frozen=True)
class DataConfig:
    """Scenes with a painting of each: how many, how large, and the part of them that one step sees."""

    size: int = 128
    crop: int = 64
    count: int = 1_536
    renders: int = 512
    shard: int = 128


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss's terms. The first two belong to the encoder's lessons, the others to the decoder's."""

    likeness: float = 10.0
    medium: float = 0.3
    content: float = 1.0
    statistics: float = 2.0
    gram: float = 2.0
    same: float = 4.0


@dataclass(frozen=True)
class StyleConfig(RunConfig):
    """One run of `gesso train style`: first ``feature_steps`` for the encoder, then the decoder's, up to ``steps``."""

    feature_steps: int = 300
    steps: int = 1_250
    batch: int = 8
    matrix_learning_rate: float = 0.01
    learning_rate: float = 2e-3
    warmup: int = 50
    decay_start: float = 0.5
    final_rate: float = 0.02
    ema: float = 0.995
    same_share: float = 0.15
    sheet_every: int = 400
    save_minutes: float = 5.0
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
