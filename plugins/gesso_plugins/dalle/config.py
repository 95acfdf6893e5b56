"""Every number of the recipe, as frozen dataclasses; small ones make the tests fast."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gesso.training.materials import MATERIALS
from gesso.training.run import RunConfig
from gesso.training.variety import LAYOUTS


@dataclass(frozen=True)
class NetworkConfig:
    """Both networks. About 1.4 million numbers: 2.8 MB in half precision.

    image: pixels a side. words: entries of the text vocabulary; length: text tokens. vocabulary: image tokens there are. channels: of the
    autoencoder from fine to coarse, each half as fine as the one before; blocks: residual blocks at each; bottleneck: how many times
    narrower these are inside. kernel: places a side that convolutional attention sees.
    """

    image: int = 64
    words: int = 768
    length: int = 32
    vocabulary: int = 512
    channels: tuple[int, ...] = (24, 48, 96)
    blocks: int = 1
    bottleneck: int = 2
    width: int = 112
    layers: int = 6
    heads: int = 4
    kernel: int = 5

    @property
    def factor(self) -> int:
        """Pixels a side of one token."""
        return int(2 ** (len(self.channels) - 1))

    @property
    def side(self) -> int:
        """Tokens a side of a picture."""
        return self.image // self.factor

    def as_json(self) -> str:
        """For the file's metadata."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @staticmethod
    def of(values: Mapping[str, Any]) -> NetworkConfig:
        """What `as_json` wrote; ValueError for anything else."""
        if set(values) != {f.name for f in dataclasses.fields(NetworkConfig)}:
            raise ValueError("it names other numbers")
        config = NetworkConfig(**{name: _checked(name, value) for name, value in values.items()})
        fits = 0 < len(config.channels) <= 6 and config.layers <= 256 and config.blocks <= 64 and config.side <= 128
        if not fits or config.image % config.factor or config.width % config.heads or config.kernel % 2 == 0:
            raise ValueError("its networks do not fit together")
        return config


def _checked(name: str, value: object) -> Any:
    """A value of the kind that the field of that name has."""
    if name == "channels":
        return tuple(map(_size, value if isinstance(value, list) else ()))
    return _size(value)


def _size(value: object) -> int:
    if type(value) is not int or not 0 < value <= 65_536:
        raise ValueError(f"{value!r} is no size")
    return value


PAPER = NetworkConfig(
    image=256,
    words=16_384,
    length=256,
    vocabulary=8_192,
    channels=(256, 512, 1024, 2048),
    blocks=2,
    bottleneck=4,
    width=3_968,
    layers=64,
    heads=62,
    kernel=11,
)
"""Ramesh et al. 2021: 12 billion numbers (appendix B.1); the autoencoder's widths are those of the code that its authors published."""


@dataclass(frozen=True)
class DataConfig:
    """Renders: `minimum` must exist before training starts, the rest grow beside it. captions: how many the vocabulary is learned from."""

    materials: tuple[str, ...] = MATERIALS
    layouts: int = LAYOUTS
    captions: int = 6_000
    minimum: int = 3_072
    target: int = 24_576
    shard: int = 256
    refresh_every: int = 100
    workers: int = 1


@dataclass(frozen=True)
class AutoencoderConfig:
    """Stage 1 (appendix A.2). steps: how many of the run's are its own. temperature: of the relaxation, at first and once it is annealed,
    which takes `annealing` of its steps; divergence: what a token's KL divergence weighs against the mean surprise of a sample once it is
    annealed, which takes `rising` of them. The paper's 6.6 is a sum over samples, of which there are 192 for each of its tokens: 30 times
    as much, and more than a short run can bear. unevenness: what the divergence of the tokens' mean weighs, which keeps all in use.
    """

    steps: int = 1_500
    batch: int = 8
    learning_rate: float = 2e-3
    temperature: tuple[float, float] = (0.7, 1 / 16)
    annealing: float = 0.7
    divergence: float = 0.001
    unevenness: float = 0.2
    rising: float = 0.1


@dataclass(frozen=True)
class TransformerConfig:
    """Stage 2 (section 2.2): weights of the two kinds of tokens in the loss, and the rates of matrices and of all else."""

    batch: int = 16
    matrix_rate: float = 0.01
    learning_rate: float = 2e-3
    text: float = 1 / 8
    image: float = 7 / 8


@dataclass(frozen=True)
class SheetConfig:
    """Pictures while training: `prompts` captions with `seeds` pictures each."""

    prompts: int = 12
    seeds: int = 2
    minutes: float = 10.0


@dataclass(frozen=True)
class DalleConfig(RunConfig):
    """One run of `gesso train dalle`: `steps` of both stages together. half: forward and backward in bfloat16."""

    steps: int = 6_000
    half: bool = False
    betas: tuple[float, float] = (0.9, 0.96)
    warmup: int = 50
    decay_start: float = 0.5
    final_rate: float = 0.05
    ema: float = 0.998
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    sheet: SheetConfig = field(default_factory=SheetConfig)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree with to be gone on with; how long and where it runs may change."""
        values: dict[str, Any] = json.loads(json.dumps(self.as_json()))
        for name in ("minutes", "threads", "steps", "log_every", "save_minutes", "sheet", "half"):
            del values[name]
        for name in ("workers", "target"):
            del values["data"][name]
        return values
