"""The starter's training and export on tiny configurations: a run resumed equals a run unbroken, what is written is a real pipeline."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("diffusers")

from gesso.errors import InvalidRequest
from gesso.plugin.datasets import CaptionedSource
from gesso.training.checkpoint import load_checkpoint
from gesso.training.muon import COEFFICIENTS, ITERATION_DTYPE, build_optimiser, orthogonalise
from gesso.training.renders import RenderStore, Universe
from gesso.training.tokenizer import encode, train_tokenizer
from gesso_plugins.starter.command import _config, _emphasis, _train_parser
from gesso_plugins.starter.config import AutoencoderConfig, DiffusionConfig, TextConfig, TrainConfig, UnetConfig
from gesso_plugins.starter.evaluate import wrap_ratio
from gesso_plugins.starter.export import BUDGET, load_pipeline
from gesso_plugins.starter.latents import Growth, LatentSet, draw_batch, grow
from gesso_plugins.starter.networks import Denoiser, build_autoencoder, build_text_encoder, build_unet, count_parameters
from gesso_plugins.starter.sampling import SamplingConfig, load_sampler
from gesso_plugins.starter.schedule import NoiseSchedule
from gesso_plugins.starter.train import train_starter

pytestmark = pytest.mark.filterwarnings("ignore")

Tiny = Callable[[Path, int], TrainConfig]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, stripes: CaptionedSource, tiny: Tiny) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    train_starter(stripes, tiny(out, 6))
    return out


def test_a_resumed_run_equals_an_unbroken_one(unbroken: Path, tmp_path: Path, stripes: CaptionedSource, tiny: Tiny) -> None:
    train_starter(stripes, tiny(tmp_path, 3))
    train_starter(stripes, tiny(tmp_path, 6))
    ours, theirs = load_checkpoint(tmp_path / "checkpoint"), load_checkpoint(unbroken / "checkpoint")
    assert ours is not None
    assert theirs is not None
    assert ours.facts["step"] == theirs.facts["step"] == 6
    assert ours.tensors.keys() == theirs.tensors.keys()
    for name, value in ours.tensors.items():
        assert torch.equal(value, theirs.tensors[name]), name


def test_growing_draws_and_encodes_what_is_missing(unbroken: Path, tmp_path: Path, stripes: CaptionedSource, tiny: Tiny) -> None:
    data = tiny(tmp_path, 1).data
    store = RenderStore(tmp_path, 1, data.shard)
    growth = Growth(3 * data.shard, data.size, None, unbroken / "autoencoder")
    grow(stripes, store, growth)
    assert store.shards(Universe.TRAIN, data.size) == 3
    latents = list((tmp_path / "latents").rglob("*.safetensors"))
    assert len(latents) == 3
    ours, theirs = (RenderStore(folder, 1, data.shard).load(Universe.TRAIN, data.size, 1) for folder in (tmp_path, unbroken / "renders"))
    assert np.array_equal(ours.images, theirs.images)
    assert ours.captions == theirs.captions


def test_only_a_share_of_the_tiles_is_rolled() -> None:
    shifts: list[tuple[int, int]] = []

    class Data:
        side, labels = 16, ({},)

        def some(self, count: int, rng: np.random.Generator) -> list[int]:
            return [0] * count

        def batch(self, index: list[int], moved: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
            shifts.extend(moved)
            return torch.zeros(len(index), 1), torch.zeros(len(index), 1)

    for rolled, least, most in ((0.0, 0, 0), (0.1, 5, 40), (1.0, 190, 200)):
        shifts.clear()
        draw_batch(cast("LatentSet", Data()), 200, np.random.default_rng(1), rolled)
        assert least <= sum(shift != (0, 0) for shift in shifts) <= most


def test_what_was_missed_is_shown_more_often(unbroken: Path, tiny: Tiny, tmp_path: Path) -> None:
    """By as much as the emphasis says, read from a report of the evaluation; without one every render is as likely."""
    config = tiny(unbroken, 1)
    store, vae = RenderStore(unbroken / "renders", 1, config.data.shard), load_pipeline(unbroken / "export").vae
    counts = []
    for emphasis in (dict[str, float](), {"rows": 9.0}):
        data = LatentSet(store, Universe.TRAIN, config.data.size, vae, load_pipeline(unbroken / "export").tokenizer)
        data.emphasis = emphasis
        data.refresh()
        drawn: list[int] = data.some(4000, np.random.default_rng(2))
        assert set(drawn) <= set(range(len(data)))
        counts.append(sum(data.labels[i]["material"] == "rows" for i in drawn) / 4000)
        share = sum(label["material"] == "rows" for label in data.labels) / len(data)
    assert 0 < share < 1
    assert counts[0] == pytest.approx(share, abs=0.03)
    assert counts[1] == pytest.approx(9 * share / (9 * share + 1 - share), abs=0.03)
    report = tmp_path / "report.json"
    asked = {"brick": 12, "pebbles": 12, "moss": 11, "bark": 11}
    report.write_text(json.dumps({"asked": asked, "missed": {"brick": 12, "pebbles": 3, "moss": 6}}))
    found = _emphasis(report)
    assert (found["brick"], found["pebbles"], found["bark"]) == (5.0, 2.0, 1.0)
    assert _config(_train_parser().parse_args(["--emphasis", str(report)])).data.settled == ("brick", "moss")
    report.write_text("[1]")
    with pytest.raises(InvalidRequest, match="no report of an evaluation"):
        _emphasis(report)


def test_what_was_mostly_missed_is_shown_in_one_layout(unbroken: Path, tiny: Tiny) -> None:
    class LaidOut(RenderStore):
        def labels(self, universe: Universe, size: int, number: int) -> list[Mapping[str, str]]:
            return [{**label, "layout": str(i % 2)} for i, label in enumerate(super().labels(universe, size, number))]

    config, parts = tiny(unbroken, 1), load_pipeline(unbroken / "export")
    data = LatentSet(LaidOut(unbroken / "renders", 1, config.data.shard), Universe.TRAIN, config.data.size, parts.vae, parts.tokenizer)
    data.emphasis, data.settled = {"rows": 2.0}, ("rows",)
    data.refresh()
    drawn = [data.labels[i] for i in data.some(400, np.random.default_rng(3))]
    assert {label["layout"] for label in drawn if label["material"] == "rows"} == {"0"}
    assert {label["layout"] for label in drawn if label["material"] != "rows"} == {"0", "1"}


def test_weights_warm_start_a_run(unbroken: Path, tmp_path: Path, stripes: CaptionedSource, tiny: Tiny) -> None:
    train_starter(stripes, tiny(tmp_path, 8), start=unbroken / "export")
    facts = load_checkpoint(tmp_path / "checkpoint")
    assert facts is not None
    assert facts.facts["step"] == 8
    assert facts.facts["warm_step"] == 6


def test_the_directory_is_a_diffusers_pipeline_that_samples(unbroken: Path) -> None:
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(unbroken / "export", local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    picture = pipeline("red rows", num_inference_steps=2, width=64, height=64).images[0]
    assert picture.size == (64, 64)
    unet = unbroken / "export" / "unet" / "diffusion_pytorch_model.safetensors"
    assert unet.exists()
    assert not list((unbroken / "export").rglob("*.bin"))


def test_our_sampler_makes_the_same_picture_from_a_seed_in_any_batch(unbroken: Path) -> None:
    sampler = load_sampler(unbroken / "export")
    config = SamplingConfig(size=64, steps=2)
    both = sampler.images(["red rows", "blue columns"], [1, 2], config)
    alone = sampler.images(["blue columns"], [2], config)
    assert both.shape == (2, 64, 64, 3)
    assert np.abs(both[1].astype(int) - alone[0].astype(int)).max() <= 1


def test_exported_weights_are_the_average_in_half_precision(unbroken: Path) -> None:
    checkpoint = load_checkpoint(unbroken / "checkpoint")
    assert checkpoint is not None
    parts = load_pipeline(unbroken / "export")
    for name, value in parts.model.named_tensors().items():
        assert torch.equal(value, checkpoint.tensors[f"average.{name}"].half().float()), name
    assert parts.record["step"] == 6


def test_the_pooled_words_start_silent_and_then_reach_every_block() -> None:
    """Fails without `addition_embed_type`, or where its last norm does not start at zero."""
    text = TextConfig(width=32, heads=2)
    unet = build_unet(UnetConfig(channels=(16, 32), heads=2), text, 8, 8)
    for name, value in unet.named_parameters():
        if "attn2" in name:
            torch.nn.init.zeros_(value)
        elif name.endswith(("conv2.weight", "proj_out.weight", "conv_out.weight")):
            torch.nn.init.normal_(value, std=0.1)
    x, time = torch.randn(1, 8, 8, 8), torch.tensor([500])
    words = [torch.randn(1, 5, 32) for _ in range(2)]
    with torch.no_grad():
        assert torch.equal(unet(x, time, words[0]).sample, unet(x, time, words[1]).sample)
        torch.nn.init.ones_(unet.add_embedding.norm2.weight)
        assert not torch.allclose(unet(x, time, words[0]).sample, unet(x, time, words[1]).sample, atol=1e-3)


def test_the_recipe_fits_its_budget() -> None:
    text = TextConfig()
    tokenizer = train_tokenizer(["red rows"], vocabulary=text.vocabulary, length=text.length)
    unet = build_unet(UnetConfig(), text, 8, 16)
    sizes = {"unet": unet, "vae": build_autoencoder(AutoencoderConfig()), "text_encoder": build_text_encoder(text, tokenizer)}
    for part, module in sizes.items():
        assert 2 * count_parameters(module) < BUDGET[part]


def test_the_vocabulary_reads_every_prompt(tmp_path: Path) -> None:
    config = dataclasses.replace(TextConfig(), vocabulary=700)
    tokenizer = train_tokenizer(["mossy grey cobblestone", "red brick wall"] * 5, vocabulary=config.vocabulary, length=config.length)
    for text in ("mossy grey brick", "quartz zebra x", "grün façade"):
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == text
    tokenizer.save_pretrained(tmp_path)
    again = type(tokenizer).from_pretrained(tmp_path, local_files_only=True)
    assert torch.equal(encode(again, ["red wall", ""]), encode(tokenizer, ["red wall", ""]))
    assert encode(tokenizer, ["red"]).shape == (1, config.length)


def test_a_long_matrix_is_orthogonalised_as_by_the_plain_iteration() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(24, 216, dtype=torch.float64)
    x, (a, b, c) = matrix / matrix.norm(), COEFFICIENTS
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    torch.testing.assert_close(orthogonalise(matrix), x, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(orthogonalise(matrix.T), x.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_muon_orthogonalises(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.3


def test_matrices_of_one_shape_learn_side_by_side_as_alone() -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(24, 96), nn.Linear(24, 96), nn.Linear(96, 24)]
    start = [layer.weight.detach().clone() for layer in layers]
    gradients = [torch.randn_like(layer.weight) for layer in layers]
    for layer, gradient in zip(layers, gradients, strict=True):
        layer.weight.grad = gradient
    build_optimiser(layers, 0.5, 1e-3, weight_decay=0.0).step()
    for layer, before, gradient in zip(layers, start, gradients, strict=True):
        momentum = 0.05 * gradient
        nesterov = (0.05 * gradient + 0.95 * momentum).to(ITERATION_DTYPE)
        length = max(1.0, gradient.shape[0] / gradient.shape[1]) ** 0.5
        torch.testing.assert_close(layer.weight, before - 0.5 * length * orthogonalise(nesterov).float(), rtol=0, atol=5e-3)


def test_a_step_is_taken_in_full_precision_where_forwards_are_not() -> None:
    """Its iteration on Gram matrices comes to nothing in half of it."""
    torch.manual_seed(0)
    layers = [nn.Linear(216, 24), nn.Linear(216, 24)]
    layers[1].load_state_dict(layers[0].state_dict())
    for layer in layers:
        layer.weight.grad = torch.randn(24, 216, generator=torch.Generator().manual_seed(1))
    build_optimiser(layers[:1], 0.5, 1e-3).step()
    with torch.autocast("cpu", torch.bfloat16):
        build_optimiser(layers[1:], 0.5, 1e-3).step()
    assert torch.equal(layers[0].weight, layers[1].weight)


def test_embeddings_and_borders_are_left_to_adamw() -> None:
    text = TextConfig(vocabulary=620)
    tokenizer = train_tokenizer(["red"], vocabulary=text.vocabulary, length=text.length)
    denoiser = Denoiser(build_unet(UnetConfig(), text, 8, 16), build_text_encoder(text, tokenizer))
    matrices, others = build_optimiser(denoiser.modules(), 0.02, 1e-3).param_groups
    assert all(parameter.ndim >= 2 for parameter in matrices["params"])
    by_adamw = {id(parameter) for parameter in others["params"]}
    borders = [denoiser.unet.conv_in.weight, denoiser.unet.conv_out.weight, denoiser.text.get_input_embeddings().weight]
    assert all(id(parameter) in by_adamw for parameter in borders)
    assert sum(p.numel() for p in matrices["params"]) > 0.8 * sum(p.numel() for g in (matrices, others) for p in g["params"])


def test_the_noise_schedule_is_the_schedulers() -> None:
    from gesso_plugins.starter.networks import build_scheduler

    config = DiffusionConfig()
    levels, scheduler = NoiseSchedule(config), build_scheduler(config)
    assert torch.allclose(levels.alpha.square(), scheduler.alphas_cumprod, rtol=1e-4, atol=1e-6)
    assert torch.equal(levels.timesteps(levels.log_level), torch.arange(config.timesteps))
    clean, noise = torch.randn(4, 8, 4, 4), torch.randn(4, 8, 4, 4)
    noisy, velocity = levels.noisy(clean, noise, torch.tensor([0, 10, 500, 999]))
    alpha = levels.alpha[torch.tensor([0, 10, 500, 999])][:, None, None, None]
    sigma = levels.sigma[torch.tensor([0, 10, 500, 999])][:, None, None, None]
    assert torch.allclose(alpha * noisy - sigma * velocity, clean, atol=1e-4)


def test_the_wrap_ratio_sees_a_border() -> None:
    y, x = np.mgrid[0:64, 0:64]
    tile = (127 + 100 * np.sin(2 * np.pi * 5 * (x + y + 0.3) / 64))[None, ..., None].repeat(3, 3).astype(np.uint8)
    assert wrap_ratio(np.concatenate([np.roll(tile, s, 2) for s in range(0, 64, 3)])) == pytest.approx(1, abs=0.05)
    assert wrap_ratio(np.arange(64, dtype=np.uint8)[None, None, :, None].repeat(64, 1)) > 5
