"""Every number of the maps network's recipe, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field

from gesso.training.run import RunConfig

HELD_OUT_MATERIALS = ("subway_tiles", "hammered_metal", "parquet", "gravel", "snake_skin", "tiger", "ice", "chevron")
"""Whole materials that are never trained on: the figures of the network are figures on these."""


@dataclass(frozen=True)
class NetworkConfig:
    """A U-Net: channels per level, each half as fine as the one before. About 1.3 million numbers."""

    channels: tuple[int, ...] = (24, 48, 72, 96, 120)
    groups: int = 8


@dataclass(frozen=True)
class DataConfig:
    """Renders with maps: `minimum` must exist before training starts, the rest grow beside it. variety: the share of them
    that are materials that nobody wrote.
    """

    held_out: tuple[str, ...] = HELD_OUT_MATERIALS
    variety: float = 0.5
    size: int = 128
    minimum: int = 1_536
    target: int = 12_288
    shard: int = 128
    refresh_every: int = 50
    workers: int = 1


@dataclass(frozen=True)
class LossConfig:
    """What each score is measured in: the baseline's error on the materials that are trained on (the normal's in radians). `coarse` and
    `doubt` are weights: of heights seen from afar, and of the cross entropy of metalness, whose mean error alone goes flat when it is sure.
    """

    height: float = 0.226
    normal: float = 0.216
    roughness: float = 0.259
    metallic: float = 0.126
    occlusion: float = 0.040
    coarse: float = 1.0
    doubt: float = 0.1


@dataclass(frozen=True)
class AugmentConfig:
    """How far a picture is changed while its maps stay: gamma (of its logarithm), contrast and brightness either way, hue in radians,
    the largest share of a blur of 3 x 3, the largest deviation of noise.
    """

    gamma: float = 0.3
    contrast: float = 0.25
    brightness: float = 0.1
    hue: float = 0.5
    blur: float = 1.0
    noise: float = 0.04


@dataclass(frozen=True)
class MapsConfig(RunConfig):
    """One run of `gesso train maps`."""

    steps: int = 4_000
    batch: int = 8
    matrix_learning_rate: float = 0.01
    learning_rate: float = 2e-3
    warmup: int = 50
    decay_start: float = 0.3
    final_rate: float = 0.02
    ema: float = 0.995
    zero_padding_share: float = 0.1
    half: bool = False
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
