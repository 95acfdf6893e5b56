"""Fixtures of the first-party plugins' tests: the real registry, tiny diffusion models on disk, and a studio that runs operations in the
real engine, in this process.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from gesso.device.residency import ModelPool
from gesso.engine.calls import Job
from gesso.engine.loop import Engine, Hooks
from gesso.engine.task import Ended, Ticket
from gesso.manifest import ModelEntry, first_party
from gesso.media import Output
from gesso.plugin import OperationParams, Registry, build_plugins
from gesso.worker.context import WorkerContext, validated
from gesso.worker.models import WorkerCatalogue

from .sources import Stripes

CAPABILITIES = ("encode_text", "denoise", "decode", "encode_image")


@dataclass
class Made:
    """What one operation made."""

    params: OperationParams
    outputs: Sequence[Output]
    warnings: list[str]
    events: list[Any] = field(default_factory=list)


class Studio:
    """Runs operations as the worker does, without processes and sockets."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.catalogue = WorkerCatalogue(registry)
        self.pool = ModelPool(self.catalogue, torch.device("cpu"))
        self.threads = ThreadPoolExecutor(1)

    def add(self, name: str, path: Path, family: str = "stable-diffusion") -> None:
        """Declare one more model."""
        self.registry.models = (*self.registry.models, ModelEntry(name, family, name.title(), path, CAPABILITIES))

    def context(self, blobs: Mapping[str, bytes] | None = None) -> WorkerContext:
        return WorkerContext(self.registry, self.catalogue, "exact", blobs or {})

    def resolve(self, operation: str, params: Mapping[str, Any]) -> tuple[OperationParams, list[str]]:
        """The complete parameters and the warnings."""
        ctx = self.context()
        thing = self.registry.operation(operation)
        return thing.resolve(ctx, validated(thing, params)), ctx.warnings

    def make(self, operation: str, params: Mapping[str, Any], blobs: Mapping[str, bytes] | None = None) -> Made:
        """Resolve and run; raises what the job failed with."""
        ctx = self.context(blobs)
        thing = self.registry.operation(operation)
        resolved = thing.resolve(ctx, validated(thing, params))
        events: list[Any] = []
        outputs = self.run(thing.run(ctx, resolved), events)
        return Made(resolved, outputs, ctx.warnings, events)

    def run(self, job: Job, events: list[Any] | None = None) -> Any:
        """The value of a generator in the engine."""
        seen: list[Any] = [] if events is None else events
        engine = Engine(self.pool, self.threads, Hooks(lambda _, event: seen.append(event)))
        engine.start(Ticket("job"), job)
        engine.run()
        end = seen.pop()
        assert isinstance(end, Ended)
        if end.error is not None:
            raise end.error
        return end.value


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
    made.threads.shutdown()
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
