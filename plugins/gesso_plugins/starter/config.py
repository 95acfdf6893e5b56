"""Every number of the recipe, as frozen dataclasses; small ones make the tests fast."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from gesso.training.place import PlaceConfig
from gesso.training.run import RunConfig
from gesso.training.variety import LAYOUTS

CORE_MATERIALS = tuple(
    """brick cobblestone flagstone pebbles rock marble granite concrete terrazzo tiles hexagon_tiles mosaic roof_tiles stained_glass
    planks wood bark bamboo denim knit leather fur plaid brushed_metal rust circuit_board grass moss sand cracked_mud leaves snow water
    lava clouds starry_space scales zebra leopard honeycomb checkerboard stripes polka_dots camouflage""".split()  # noqa: SIM905  (a list of words reads best as words)
)
"""What the denoiser learns first: materials whose structure eight-pixel latents of a small tile can hold."""


@dataclass(frozen=True)
class TextConfig:
    """The tokenizer and the text encoder."""

    vocabulary: int = 1536
    length: int = 32
    width: int = 128
    layers: int = 4
    heads: int = 4
    captions: int = 6000


@dataclass(frozen=True)
class AutoencoderConfig:
    """The autoencoder (eight pixels to one latent of eight channels) and its training."""

    channels: tuple[int, ...] = (16, 32, 64, 72)
    latent_channels: int = 8
    groups: int = 1
    steps: int = 1000
    batch: int = 16
    large_every: int = 2
    learning_rate: float = 2e-3
    matrix_learning_rate: float = 0.01
    kl_weight: float = 2e-3
    texture_weight: float = 0.5
    anchor_weight: float = 0.5
    zero_padding_share: float = 0.1


@dataclass(frozen=True)
class DecoderConfig:
    """The refinement of the decoder."""

    steps: int = 1500
    learning_rate: float = 1e-3
    matrix_learning_rate: float = 0.006
    ema: float = 0.99


@dataclass(frozen=True)
class PreviewConfig:
    """The small autoencoder and its distillation. encoder, decoder: blocks of each level. noise: how unclean latents are made at most."""

    width: int = 24
    encoder: tuple[int, ...] = (0, 1, 1, 1)
    decoder: tuple[int, ...] = (4, 3, 1, 0)
    noise: float = 0.5
    steps: int = 1000
    learning_rate: float = 2e-3
    matrix_learning_rate: float = 0.01
    ema: float = 0.99


@dataclass(frozen=True)
class UnetConfig:
    """The denoising network. zero_padded: what of it never wraps, so that it knows its place in the tile."""

    zero_padded: tuple[str, ...] = ("down_blocks", "mid_block")
    channels: tuple[int, ...] = (96, 160)
    layers: int = 1
    heads: int = 4
    groups: int = 4


@dataclass(frozen=True)
class RecogniserConfig:
    """The recogniser of noisy latents, and how much the denoiser hears of it (``weight``; 0: nothing, and none is trained).

    least, most: sigmas that it learns. heard: between which the denoiser's guesses are shown to it. again: between which they are noised
    once more, never above the level that the denoiser saw.
    """

    widths: tuple[int, ...] = (64, 96, 128)
    steps: int = 2000
    batch: int = 64
    learning_rate: float = 2e-3
    matrix_learning_rate: float = 0.02
    least: float = 0.05
    most: float = 6.0
    heard: tuple[float, float] = (0.3, 8.0)
    again: tuple[float, float] = (0.1, 2.0)
    weight: float = 0.04


@dataclass(frozen=True)
class DrawingConfig:
    """The pictures that the denoiser draws itself while it learns: how many at once, what their captions' recognition weighs.

    start, end: sigmas at which one begins and is done. stride: how far one step goes, in ln sigma, between the two.
    """

    count: int = 16
    start: float = 40.0
    end: float = 0.3
    stride: tuple[float, float] = (0.25, 0.6)
    weight: float = 0.1


@dataclass(frozen=True)
class DiffusionConfig:
    """The noise schedule and the training of the denoiser. rolled_share: how many of the layouts' renders are rolled all the same, so that
    pictures of others can be painted on.
    """

    timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.020
    batch: int = 64
    crop: int = 8
    crop_share: float = 0.1
    rolled_share: float = 0.1
    log_sigma_mean: float = 0.5
    log_sigma_std: float = 1.3
    caption_dropout: float = 0.1
    zero_padding_share: float = 0.1
    matrix_learning_rate: float = 0.02
    learning_rate: float = 1.5e-3
    warmup: int = 60
    decay_start: int = 0
    decay_end: int = 0
    final_rate: float = 0.03
    ema: float = 0.997


@dataclass(frozen=True)
class DataConfig:
    """How many renders are drawn; `minimum` must exist before the denoiser starts, the rest grow beside it. emphasis: how often
    the denoiser is shown a material, where that is not once. settled: materials that it is shown in one layout alone.
    """

    materials: tuple[str, ...] = CORE_MATERIALS
    layouts: int = LAYOUTS
    emphasis: Mapping[str, float] = field(default_factory=dict)
    settled: tuple[str, ...] = ()
    size: int = 128
    small_size: int = 64
    minimum: int = 6_144
    target: int = 60_000
    shard: int = 256
    autoencoder_small: int = 4_096
    autoencoder_large: int = 2_048
    validation: int = 256
    refresh_every: int = 100
    workers: int = 1


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """One training run: where it lives, how long it may take, and the numbers of its stages."""

    half: bool = False
    max_steps: int | None = None
    sheet_minutes: float = 20.0
    validate_every: int = 400
    text: TextConfig = field(default_factory=TextConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    preview: PreviewConfig = field(default_factory=PreviewConfig)
    unet: UnetConfig = field(default_factory=UnetConfig)
    place: PlaceConfig = field(default_factory=PlaceConfig)
    recogniser: RecogniserConfig = field(default_factory=RecogniserConfig)
    drawing: DrawingConfig = field(default_factory=DrawingConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    data: DataConfig = field(default_factory=DataConfig)


def digest(value: object) -> str:
    """A short, stable name for a configuration."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
