"""Textual inversion: a word stands for vectors, as in diffusers' own pipeline, for one job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.plugins.diffusion.oracles import apart, ours, pipeline_of, theirs
from tests.plugins.diffusion.unets import WIDTH, build_sd, build_xl

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso_plugins.diffusion.textual_inversion import EmbeddingFamily

pytestmark = pytest.mark.families
PROMPT = "a wall of my-moss, grey"


def add(studio: Any, path: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, path)
    entry = ModelEntry("my-moss", "embedding", "Moss", path, ("embedding",), kind="embedding")
    studio.registry.models = (*studio.registry.models, entry)


@pytest.mark.parametrize("vectors", [1, 3])
def test_a_learned_word(studio: Any, tmp_path: Path, vectors: int) -> None:
    folder = build_sd(tmp_path / "base")
    learned = torch.randn(vectors, WIDTH, generator=torch.Generator().manual_seed(1))
    add(studio, tmp_path / "a.safetensors", {"emb_params": learned})
    pipeline, sigmas = pipeline_of("StableDiffusionPipeline", folder)
    before = ours(studio, folder, sigmas, prompt=PROMPT)
    found = ours(studio, folder, sigmas, prompt=PROMPT, embedding=["my-moss"])
    pipeline.load_textual_inversion({"my-moss": learned}, token="my-moss")
    assert apart(found, theirs(pipeline, sigmas, prompt=PROMPT)) < 1e-4
    assert apart(found, before) > 1e-3
    assert torch.equal(ours(studio, folder, sigmas, prompt=PROMPT), before)


def test_each_encoder_of_sdxl_has_its_own_vectors(studio: Any, tmp_path: Path) -> None:
    folder = build_xl(tmp_path / "base")
    add(studio, tmp_path / "a.safetensors", {"clip_l": torch.randn(2, WIDTH)})
    _, sigmas = pipeline_of("StableDiffusionXLPipeline", folder)
    found = ours(studio, folder, sigmas, family="stable-diffusion-xl", prompt=PROMPT, embedding=["my-moss"])
    assert apart(found, ours(studio, folder, sigmas, prompt=PROMPT)) > 1e-3


def test_another_base_is_refused_in_one_sentence(studio: Any, tmp_path: Path) -> None:
    folder = build_sd(tmp_path / "base")
    add(studio, tmp_path / "a.safetensors", {"emb_params": torch.zeros(1, 2 * WIDTH)})
    with pytest.raises(InvalidRequest, match="was made for another base") as caught:
        ours(studio, folder, [10.0, 1.0, 0.0], prompt=PROMPT, embedding=["my-moss"])
    assert caught.value.field == "embedding"


def test_the_base_is_told_by_the_widths_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    entry = ModelEntry("a", "embedding", "A", path, ())
    for weights, base in (
        ({"emb_params": torch.zeros(2, 768)}, "sd1"),
        ({"<moss>": torch.zeros(1024)}, "sd2"),
        ({"clip_l": torch.zeros(2, 768), "clip_g": torch.zeros(2, 1280)}, "sdxl"),
    ):
        save_file(weights, path)
        assert EmbeddingFamily().inspect(entry).base == base
    save_file({"conv.weight": torch.zeros(2, 2, 3, 3)}, path)
    with pytest.raises(ModelError, match="is no textual inversion"):
        EmbeddingFamily().inspect(entry)
