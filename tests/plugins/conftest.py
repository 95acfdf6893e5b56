"""Fixtures of the first-party plugins' tests: the real registry, tiny diffusion models on disk, and a studio that runs operations in the
real engine, in this process.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gesso.manifest import first_party
from gesso.plugin import Registry, build_plugins
from gesso.testing import Studio
from gesso.training.run import Run

from .sources import Stripes


@pytest.fixture(scope="session")
def registry() -> Registry:
    return build_plugins(first_party())


@pytest.fixture
def studio(registry: Registry) -> Iterator[Studio]:
    models = registry.models
    made = Studio(registry)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield made
    made.close()
    torch.set_num_threads(threads)
    registry.models = models


def write_tokenizer(folder: Path, text_length: int) -> Any:
    """A CLIP tokenizer that spells: one token a byte."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    names = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[], model_max_length=text_length)
    tokenizer.save_pretrained(folder)
    return tokenizer


def build_pipeline(folder: Path, prediction: str = "epsilon") -> Path:
    """A StableDiffusionPipeline of the true architecture with small widths and random weights."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    tokenizer = write_tokenizer(folder / "made", 77)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=37,
            num_attention_heads=4,
            num_hidden_layers=3,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        latent_channels=4,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1, prediction_type=prediction
    )
    pipeline = StableDiffusionPipeline(vae, text, tokenizer, unet, scheduler, None, None, requires_safety_checker=False)
    pipeline.save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Pipeline directories by prediction type, each made once."""
    made: dict[str, Path] = {}

    def get(prediction: str) -> Path:
        if prediction not in made:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made[prediction] = build_pipeline(tmp_path_factory.mktemp(prediction), prediction)
        return made[prediction]

    return get


@pytest.fixture(scope="session")
def stripes() -> Stripes:
    return Stripes()


@pytest.fixture
def ended_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Call a training and end it, as a signal would, once it has made so many steps."""

    def end(steps: int, train: Callable[[], object]) -> None:
        whole = Run.learn

        def learn(run: Run, loss: torch.Tensor, factor: float, samples: int) -> None:
            whole(run, loss, factor, samples)
            run.clock.stop = run.step >= steps

        with monkeypatch.context() as patch:
            patch.setattr(Run, "learn", learn)
            train()

    return end
