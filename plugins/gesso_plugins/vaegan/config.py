"""Every number of the VAE-GAN's recipe, as frozen dataclasses; small ones make the tests fast."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gesso.training.materials import MATERIALS
from gesso.training.run import RunConfig
from gesso.training.variety import LAYOUTS

Adversary = Literal["bce", "wasserstein"]


@dataclass(frozen=True)
class NetworkConfig:
    """The four networks. About 1.7 million numbers: 3.5 MB in half precision.

    generator: channels from coarse to fine, each twice as fine as the one before, so that a seed's place is ``2 ** len`` pixels wide;
    encoder and critic: from fine to coarse, as many. latent: channels of the seed at each place; words: of the sentence's vector.
    spectral: whether the critic's layers are held to a slope of one.
    """

    image: int = 64
    vocabulary: int = 1536
    length: int = 32
    text_width: int = 64
    text_layers: int = 2
    text_heads: int = 4
    words: int = 96
    latent: int = 16
    generator: tuple[int, ...] = (128, 96, 48, 24)
    encoder: tuple[int, ...] = (16, 32, 64, 96)
    critic: tuple[int, ...] = (24, 48, 96, 128)
    spectral: bool = True

    @property
    def factor(self) -> int:
        """Pixels a side that one place of the seed becomes."""
        return int(2 ** len(self.generator))

    def as_json(self) -> str:
        """For the file's metadata."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @staticmethod
    def of(values: Mapping[str, Any]) -> NetworkConfig:
        """What `as_json` wrote; TypeError or ValueError for anything else."""
        if set(values) != {f.name for f in dataclasses.fields(NetworkConfig)}:
            raise ValueError("it names other numbers")
        config = NetworkConfig(**{name: _checked(name, value) for name, value in values.items()})
        if not 0 < len(config.generator) == len(config.encoder) == len(config.critic) <= 6:
            raise ValueError("its networks do not fit together")
        return config


def _checked(name: str, value: object) -> Any:
    """A value of the kind that the field of that name has."""
    if name in ("generator", "encoder", "critic"):
        return tuple(map(_size, value if isinstance(value, list) else ()))
    return bool(value) if name == "spectral" else _size(value)


def _size(value: object) -> int:
    if type(value) is not int or not 0 < value <= 65_536:
        raise ValueError(f"{value!r} is no size")
    return value


PAPER = NetworkConfig(
    vocabulary=49_408,
    length=77,
    text_width=512,
    text_layers=12,
    text_heads=8,
    words=128,
    latent=100,
    generator=(1024, 512, 256, 128),
    encoder=(64, 128, 256, 512),
    critic=(64, 128, 256, 512),
)
"""As wide as Reed et al. 2016 (appendix; the DCGAN's 1024 to 128 channels, 128 for the words, 100 of noise), with CLIP's text encoder."""


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
class LossConfig:
    """Weights of the terms. prior: KL divergence, at first and, from the share `annealed` of the steps on, at last; agreement: of words and
    what the encoder sees; pixels: in colours; likeness: distance in the critic's features; adversarial: what the critic says; these two
    grow from nothing over as many steps after that. penalty: of the critic's slope, where it is Wasserstein's.

    A prior that weighs much at first lets nothing through the seed, so that words must say all that they can; what is let through later is
    then the rest. With a light one from the start the seed says what the words do, and a drawn seed says a little of everything. The critic
    is heard, little by little, once the words are learned: a generator of nothing but blots learns only how to deceive it.
    """

    adversary: Adversary = "bce"
    prior: tuple[float, float] = (5.0, 0.1)
    annealed: float = 0.5
    agreement: float = 0.05
    likeness: float = 1.0
    pixels: float = 1.0
    adversarial: float = 0.02
    penalty: float = 10.0


@dataclass(frozen=True)
class WatchConfig:
    """How collapse is watched: `prompts` captions with `seeds` pictures each. Collapsed: the pictures of one caption differ by less than
    the share `least` of how renders of one material and colour differ.
    """

    every: int = 200
    prompts: int = 12
    seeds: int = 4
    least: float = 0.25


@dataclass(frozen=True)
class VaeganConfig(RunConfig):
    """One run of `gesso train vaegan`. The critic's rate is the higher of the two time scales. matrix_rate: of the kernels of
    words and generator, which Muon teaches; all else is Adam's, since the encoder's seeds would run away from steps of a fixed length.
    half: forwards in bfloat16.
    """

    steps: int = 3_000
    half: bool = False
    batch: int = 24
    matrix_rate: float = 0.01
    learning_rate: float = 5e-4
    critic_rate: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.99)
    warmup: int = 20
    decay_start: float = 0.5
    final_rate: float = 0.05
    ema: float = 0.998
    zero_padding_share: float = 0.1
    augment: tuple[str, ...] = ("shift", "cutout")
    sheet_minutes: float = 10.0
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree with to be gone on with; how long and where it runs may change."""
        values: dict[str, Any] = json.loads(json.dumps(self.as_json()))
        for name in ("minutes", "threads", "steps", "log_every", "save_minutes", "sheet_minutes", "watch", "half"):
            del values[name]
        for name in ("workers", "target"):
            del values["data"][name]
        return values
