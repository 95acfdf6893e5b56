"""Every number of unCLIP's recipe, as frozen dataclasses; small ones make the tests fast."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gesso.training.materials import MATERIALS
from gesso.training.place import PlaceConfig
from gesso.training.run import RunConfig
from gesso.training.variety import LAYOUTS

STAGES = ("prior", "decoder", "upsampler")
EMBEDDING_DROPOUT, CAPTION_DROPOUT, PRIOR_DROPOUT = 0.1, 0.5, 0.1
"""How often the decoder does not hear the embedding, and the caption, and the prior the caption (Ramesh et al. 2022, sections 2.1, 2.2)."""


@dataclass(frozen=True)
class ClipConfig:
    """What is taken from a CLIP: the width of its embeddings and of its text states, which is one, and how long its sentences are."""

    width: int
    length: int


@dataclass(frozen=True)
class NetworkConfig:
    """The networks that are trained. About 1.3 million numbers: 2.7 MB in half precision. The CLIP's come beside them, as they are.

    image: the decoder's pixels a side; factor: how many times as large the upsampler makes that (1: there is none). prior: heads, numbers
    of each, layers. decoder, upsampler: channels from fine to coarse. attends: at how many of the decoder's coarsest levels words and
    embedding are attended to. context: the width of that; tokens: as how many the embedding stands there. zero_padded: parts of
    the decoder that never wrap, so that it knows its place in the tile.
    """

    image: int = 32
    factor: int = 2
    prior: tuple[int, int, int] = (3, 32, 2)
    decoder: tuple[int, ...] = (24, 40, 56)
    decoder_layers: int = 1
    attends: int = 1
    head: int = 28
    context: int = 64
    tokens: int = 4
    zero_padded: tuple[str, ...] = ("down_blocks", "mid_block")
    upsampler: tuple[int, ...] = (16, 24)
    upsampler_layers: int = 1
    groups: int = 8


PAPER = NetworkConfig(
    image=64,
    factor=4,
    prior=(32, 64, 24),
    decoder=(512, 1024, 1536, 2048),
    decoder_layers=3,
    attends=3,
    head=64,
    context=2048,
    upsampler=(320, 640, 960, 1280),
    upsampler_layers=3,
    groups=32,
)
"""As wide and deep as Ramesh et al. 2022 (appendix C): a prior of width 2048 in 24 layers, a decoder of 512 channels, 64 to 256 pixels."""
PAPER_CLIP = ClipConfig(width=1024, length=77)


@dataclass(frozen=True)
class DataConfig:
    """Renders: `minimum` must exist before training starts, the rest grow beside it."""

    materials: tuple[str, ...] = MATERIALS
    layouts: int = LAYOUTS
    minimum: int = 2_048
    target: int = 8_192
    shard: int = 128
    refresh_every: int = 100
    workers: int = 1


@dataclass(frozen=True)
class StageConfig:
    """One stage. share: its steps, in shares of the run's; batch: its pictures a step."""

    share: float
    batch: int
    matrix_rate: float = 0.01
    rate: float = 1e-3


@dataclass(frozen=True)
class UnclipConfig(RunConfig):
    """One run of `gesso train unclip`: its stages one after the other. steps: of the decoder. clip: the directory of a `CLIPModel`.

    blur: the most noise that the small picture has when the upsampler is trained (Ho et al. 2022, arXiv 2106.15282, section 4.2).
    crop: pixels a side of what the upsampler is shown of a large picture. place: how the decoder is taught where in the tile it is. borrow:
    the CLIP is the one that ships, and is left out of what is written.
    """

    clip: Path
    steps: int = 4_000
    half: bool = False
    borrow: bool = False
    warmup: int = 100
    decay_start: float = 0.4
    final_rate: float = 0.05
    ema: float = 0.998
    timesteps: int = 1000
    zero_padding_share: float = 0.1
    blur: float = 0.1
    crop: int = 32
    sheet_minutes: float = 10.0
    captions: int = 12
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    place: PlaceConfig = field(default_factory=PlaceConfig)
    prior: StageConfig = field(default_factory=lambda: StageConfig(0.5, 64))
    decoder: StageConfig = field(default_factory=lambda: StageConfig(1.0, 64))
    upsampler: StageConfig = field(default_factory=lambda: StageConfig(0.5, 32))

    def as_json(self) -> dict[str, Any]:
        """The numbers alone; of the CLIP its folder's name."""
        return super().as_json() | {"clip": self.clip.name}

    @property
    def stages(self) -> tuple[str, ...]:
        """What is trained, in order."""
        return STAGES if self.network.factor > 1 else STAGES[:2]

    def steps_of(self, stage: str) -> int:
        """How many steps a stage takes."""
        share: float = getattr(self, stage).share
        return max(1, round(self.steps * share))

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree with to be gone on with; how long and where it runs may change."""
        values: dict[str, Any] = json.loads(json.dumps(self.as_json()))
        for name in ("minutes", "threads", "steps", "log_every", "save_minutes", "sheet_minutes", "captions", "clip", "half", "borrow"):
            del values[name]
        for name in ("workers", "target"):
            del values["data"][name]
        return values
