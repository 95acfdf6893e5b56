"""Every number of the maps network's recipe, as frozen dataclasses."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HELD_OUT_MATERIALS = ("subway_tiles", "hammered_metal", "parquet", "gravel", "snake_skin", "tiger", "ice", "chevron")
"""Whole materials that are never trained on: the figures of the network are figures on these."""


@dataclass(frozen=True)
class NetworkConfig:
    """A U-Net: channels per level, each half as fine as the one before. About 1.3 million numbers."""

    channels: tuple[int, ...] = (24, 48, 72, 96, 120)
    groups: int = 8


@dataclass(frozen=True)
class DataConfig:
    """Renders with maps: `minimum` must exist before training starts, the rest grow beside it."""

    held_out: tuple[str, ...] = HELD_OUT_MATERIALS
    size: int = 128
    minimum: int = 1_536
    target: int = 12_288
    shard: int = 128
    refresh_every: int = 50
    workers: int = 1


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss's terms."""

    slope: float = 1.0
    height: float = 1.0
    occlusion: float = 1.0
    roughness: float = 2.0
    metallic: float = 0.5


@dataclass(frozen=True)
class MapsConfig:
    """One run of `gesso train maps`."""

    out: Path
    seed: int = 1
    threads: int = 1
    minutes: float | None = None
    steps: int = 4_000
    batch: int = 8
    matrix_learning_rate: float = 0.01
    learning_rate: float = 2e-3
    warmup: int = 50
    decay_start: float = 0.3
    final_rate: float = 0.02
    ema: float = 0.995
    zero_padding_share: float = 0.1
    log_every: int = 20
    save_minutes: float = 10.0
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def as_json(self) -> dict[str, Any]:
        """The numbers alone, for the record beside the weights."""
        values = dataclasses.asdict(self)
        values.pop("out")
        return values
