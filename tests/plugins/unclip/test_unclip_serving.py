"""unCLIP behind `generate` and `vary`: in the real engine, and from `gesso models add` to a daemon's picture."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.plugins.unclip import pipelines

from gesso.cli import main
from gesso.client import Client
from gesso.engine import EncodeImage, EncodeText, ModelRef, Preview, Progress
from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.math import along, slerp
from gesso.media import png
from gesso.testing import Studio
from gesso_plugins.imaging import cascade
from gesso_plugins.unclip.family import UnclipFamily, UnclipModel
from gesso_plugins.unclip.parts import enlarged

pytestmark = pytest.mark.filterwarnings("ignore")
FEW = {"unclip": {"prior_steps": 3, "upsampler_steps": 3}}


def picture(seed: int, side: int = 32) -> tuple[str, bytes]:
    data = png.write(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8), {})
    return hashlib.sha256(data).hexdigest(), data


A, B = picture(1), picture(2)
BLOBS = dict((A, B))


@pytest.fixture
def varied(studio: Studio, karlo: Path) -> Callable[..., Any]:
    studio.add("karlo", karlo, "unclip")
    asked = {"image": {"sha256": A[0]}, "model": "karlo", "seed": 5, "steps": 3, "count": 1, "options": FEW}
    return lambda **more: studio.make("vary", {**asked, **more}, BLOBS)


@pytest.fixture
def embeddings(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What the decoder is given, job by job."""
    seen: list[torch.Tensor] = []
    small = cascade.Unfolding.small

    def told(task: Any, index: int, embedding: torch.Tensor) -> Any:
        seen.append(embedding)
        return (yield from small(task, index, embedding))

    monkeypatch.setattr(cascade.Unfolding, "small", told)
    return seen


def test_a_seed_is_its_bytes_in_a_crowd_and_alone(making: Any) -> None:
    made = making(count=3)
    assert [output.pixels.shape for output in made.outputs] == [(32, 32, 3)] * 3
    (alone,) = making(seed=6).outputs
    assert alone.pixels.tobytes() == made.outputs[1].pixels.tobytes()
    assert alone.pixels.tobytes() != made.outputs[0].pixels.tobytes()
    assert making(seed=6, prompt="grey bark").outputs[0].pixels.tobytes() != alone.pixels.tobytes()


def test_progress_goes_over_the_three_parts_and_pictures_are_shown(making: Any) -> None:
    made = making()
    told = [event for event in made.events if isinstance(event, Progress)]
    assert [(event.step, event.total) for event in told] == [(i, 9) for i in range(1, 10)]
    shown = [event.latent.shape for event in made.events if isinstance(event, Preview)]
    assert shown == [(1, 3, 16, 16)] * 3 + [(1, 3, 32, 32)] * 3


def moved(one: Any, other: Any) -> float:
    """The share of samples that differ. Random weights blow rounding up: at a few places of a picture it decides between dark and light."""
    return float(np.mean(np.abs(one.astype(int) - other.astype(int)) > 2))


def test_rows_of_several_pictures_share_forwards_and_none_changes(
    registry: Any, making: Any, karlo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    whole = UnclipModel.denoise

    def denoise(model: UnclipModel, x: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        rows.append(len(x))
        return whole(model, x, sigma, cond)

    monkeypatch.setattr(UnclipModel, "denoise", denoise)
    alone = [output.pixels for output in making(count=5).outputs]
    assert set(rows) == {1, 2}  # the upsampler needs no row for the negative prompt
    fast = Studio(registry, "fast")
    asked = {"prompt": "mossy brick", "model": "karlo", "seed": 5, "steps": 3, "options": FEW, "count": 5}
    together = [output.pixels for output in fast.make("generate", asked).outputs]
    fast.close()
    assert max(rows) > 2
    for one, other in zip(alone, together, strict=True):
        assert moved(one, other) < 0.1  # of two different pictures, nearly all
    assert moved(alone[0], alone[1]) > 0.5


def test_it_wraps_where_it_is_asked_to(making: Any) -> None:
    (tile,) = making(tile="xy").outputs
    assert set(tile.info["measured"]["seam"]) == {"x", "y"}
    (plain,) = making().outputs
    assert plain.pixels.tobytes() != tile.pixels.tobytes()


def test_a_rolled_picture_is_enlarged_rolled() -> None:
    small = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    straight = enlarged(small, (32, 48), (True, True))
    assert torch.allclose(enlarged(small.roll((3, 5), (2, 3)), (32, 48), (True, True)), straight.roll((12, 20), (2, 3)), atol=1e-6)
    inner = enlarged(small, (32, 48))[..., 12:20, 12:36]
    assert torch.allclose(straight[..., 12:20, 12:36], inner, atol=1e-6)  # away from the border both are the same


def seen(studio: Studio, *pixels: tuple[str, bytes]) -> list[torch.Tensor]:
    """The embeddings of pictures, asked of the model itself."""
    from gesso.media.images import to_planes

    card = studio.context().model("karlo")
    ref = ModelRef(card.name, card.digest)

    def job() -> Any:
        found = []
        for _, data in pixels:
            found.append((yield EncodeImage(ref, to_planes(data, 32, 32))).flatten(1))
        return found

    found: list[torch.Tensor] = studio.run(job())
    return found


def test_variations_decode_what_the_picture_shows(varied: Any, studio: Studio, embeddings: list[torch.Tensor]) -> None:
    made = varied(count=2)
    assert made.params.by == "embedding"
    assert made.outputs[0].pixels.tobytes() != made.outputs[1].pixels.tobytes()
    (wanted,) = seen(studio, A)
    assert all(torch.allclose(embedding, wanted, atol=1e-5) for embedding in embeddings)
    assert varied(seed=6).outputs[0].pixels.tobytes() == made.outputs[1].pixels.tobytes()
    told = [event.total for event in made.events if isinstance(event, Progress)]
    assert set(told) == {6}  # no prior is run


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_between_two_pictures_lies_the_arc(varied: Any, studio: Studio, embeddings: list[torch.Tensor], strength: float) -> None:
    varied(toward={"sha256": B[0]}, strength=strength)
    first, second = seen(studio, A, B)
    assert torch.allclose(embeddings[0], slerp(first, second, strength), atol=1e-5)


def test_words_move_the_embedding_along_their_difference(varied: Any, studio: Studio, embeddings: list[torch.Tensor]) -> None:
    varied(from_text="brick", to_text="mossy brick", strength=0.4)
    card = studio.context().model("karlo")
    ref = ModelRef(card.name, card.digest)

    def job() -> Any:
        return (yield EncodeText(ref, ("brick",))), (yield EncodeText(ref, ("mossy brick",)))

    (before,), (after,) = studio.run(job())
    (picture,) = seen(studio, A)
    assert torch.allclose(embeddings[0], along(picture, before.pooled, after.pooled, 0.4), atol=1e-5)
    assert not torch.allclose(embeddings[0], picture, atol=1e-2)


def test_other_samplers_schedules_and_sizes_do(making: Any) -> None:
    (output,) = making(sampler="dpmpp_2m", schedule="karras", width=64, height=48).outputs
    assert output.pixels.shape == (48, 64, 3)
    assert output.info["labels"] == {"sampler": "DPM++ 2M", "schedule": "Karras"}


def test_the_best_of_several_is_kept(making: Any) -> None:
    every = [output.pixels.tobytes() for output in making(count=3).outputs]
    (best,) = making(best_of=3, score={"sharpness": 1.0}).outputs
    assert best.pixels.tobytes() in every


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"width": 33}, "in steps of"),
        ({"strength": 0.5}, "nothing to move towards"),
        ({"toward": {"sha256": B[0]}}, "no picture whose embedding"),
        ({"like": {"sha256": A[0]}, "from_text": "brick"}, "needs both"),
        ({"like": {"sha256": A[0]}, "from_text": "brick", "to_text": "brick"}, "the same"),
        ({"like": {"sha256": A[0]}, "from_text": "a", "to_text": "b", "toward": {"sha256": B[0]}}, "not both"),
        ({"lora": {"x": 1.0}}, "takes no lora"),
        ({"sampler": "dpm_adaptive"}, "other steps for each"),
        ({"options": {"unclip": {"prior_steps": 0}}}, "whole number from 1"),
        ({"options": {"unclip": {"prior_guidance": "much"}}}, "a number from 0"),
        ({"options": {"unclip": {"width": 3}}}, "has no option 'width'"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(making: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        making(BLOBS, **more)


def test_what_only_others_can_do_names_them(studio: Studio, karlo: Path, parts: dict[str, Any], tmp_path: Path) -> None:
    """A model without an image encoder is told from one with; what cannot imagine says so; a UNet of another kind sees nothing."""
    blind = pipelines.save(parts, tmp_path / "blind", eye=False)
    studio.add("blind", blind, "unclip")
    viewer = pipelines.save(parts, tmp_path / "viewer", "UnCLIPImageVariationPipeline")
    studio.registry.models = (*studio.registry.models, ModelEntry("viewer", "unclip", "Viewer", viewer, ("cascade", "view")))
    image = {"image": {"sha256": A[0]}, "seed": 1}
    for model in ("blind", "procedural"):
        with pytest.raises(InvalidRequest, match="cannot do 'view'") as caught:
            studio.resolve("vary", {**image, "model": model, "toward": {"sha256": B[0]}})
        assert caught.value.hint == "These can: unclip, viewer."
    with pytest.raises(InvalidRequest, match="nothing of words alone"):
        studio.resolve("generate", {"prompt": "brick", "model": "viewer", "seed": 1})
    with pytest.raises(InvalidRequest, match="takes no control"):
        studio.resolve("vary", {**image, "model": "viewer", "control": {"x": {"sha256": B[0]}}})
    assert studio.resolve("vary", {**image, "from_text": "a", "to_text": "b"})[0].model == "unclip"  # type: ignore[attr-defined]
    made = studio.make("vary", {**image, "model": "viewer", "steps": 2, "options": {"unclip": {"upsampler_steps": 2}}, "count": 1}, BLOBS)
    assert made.outputs[0].pixels.shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: shutil.rmtree(f / "prior"), "prior"),
        (lambda f: pipelines.change(f / "model_index.json", prior=None), "lacks its prior"),
        (lambda f: pipelines.change(f / "model_index.json", super_res_first=None), "half there"),
        (lambda f: pipelines.change(f / "model_index.json", decoder=["diffusers", "UNet2DModel"]), "takes UNet2DConditionModel"),
        (lambda f: pipelines.change(f / "model_index.json", _class_name="DiTPipeline"), "runs UnCLIPPipeline"),
        (lambda f: pipelines.change(f / "text_encoder/config.json", projection_dim=16), "projects to 16"),
        (lambda f: pipelines.change(f / "image_encoder/config.json", projection_dim=16), "projects to 16"),
        (lambda f: pipelines.change(f / "prior/config.json", num_embeddings=9), "reads words 9"),
        (lambda f: pipelines.change(f / "decoder/config.json", cross_attention_dim=8), "listens to 8"),
        (lambda f: pipelines.change(f / "decoder/config.json", class_embed_type="timestep"), "class_embed_type"),
        (lambda f: pipelines.change(f / "decoder/config.json", out_channels=3), "answers with channels 3"),
        (lambda f: pipelines.change(f / "super_res_first/config.json", sample_size=40), "makes pixels 40"),
        (lambda f: pipelines.change(f / "decoder_scheduler/scheduler_config.json", variance_type="fixed_large"), "fixed_large"),
        (lambda f: pipelines.change(f / "prior_scheduler/scheduler_config.json", _class_name="DDIMScheduler"), "DDIMScheduler"),
        (lambda f: pipelines.change(f / "decoder_scheduler/scheduler_config.json", prediction_type="flow"), "predicts 'flow'"),
    ],
)
def test_a_directory_that_does_not_fit_is_refused(karlo: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    folder = tmp_path / "spoilt"
    shutil.copytree(karlo, folder)
    spoil(folder)
    with pytest.raises(ModelError, match=said):
        UnclipFamily().inspect(ModelEntry("spoilt", "unclip", "Spoilt", folder, ()))


@pytest.mark.parametrize(
    ("part", "setting"),
    [
        ("prior", {"attention_head_dim": 16}),
        ("text_proj", {"clip_extra_context_tokens": 2}),
        ("text_encoder", {"intermediate_size": 40}),
        ("text_encoder", {"num_hidden_layers": 3}),
        ("decoder", {"layers_per_block": 2}),
    ],
)
def test_weights_of_other_widths_are_refused(karlo: Path, tmp_path: Path, part: str, setting: dict[str, int]) -> None:
    folder = tmp_path / "other"
    shutil.copytree(karlo, folder)
    pipelines.change(folder / part / "config.json", **setting)
    family = UnclipFamily()
    card = family.inspect(ModelEntry("other", "unclip", "Other", folder, ()))
    with pytest.raises(ModelError, match=f"weights of the {part}"):
        family.load(card, torch.device("cpu"))


def test_a_directory_is_taken_in_and_a_daemon_makes_pictures_of_it(
    in_process_daemon: Callable[..., Client], karlo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = in_process_daemon()
    assert main(["models", "add", str(karlo), "--name", "dreamt"]) == 0
    capsys.readouterr()
    assert main(["models", "info", "dreamt", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["family"], told["layout"]) == ("unclip", "unclip-whole")
    assert told["capabilities"] == ["encode_text", "cascade", "imagine", "view"]
    few = {"steps": 2, "options": {"unclip": {"prior_steps": 2, "upsampler_steps": 2}}}
    job = client.submit("generate", {"prompt": "mossy brick", "model": "dreamt", "seed": 3, **few})
    (result,) = job.result().images
    assert result.read().startswith(b"\x89PNG")
    (tmp_path / "a.png").write_bytes(A[1])
    (tmp_path / "b.png").write_bytes(B[1])
    said = ["vary", str(tmp_path / "a.png"), "--model", "dreamt", "--steps", "2", "--seed", "4", "-n", "1", "-o"]
    moves = {"plain": [], "toward": ["--toward", str(tmp_path / "b.png")], "moss": ["--from-text", "brick", "--to-text", "moss"]}
    for name, more in moves.items():
        assert main([*said, str(tmp_path / f"{name}.png"), *more]) == 0
    made = {(tmp_path / f"{name}.png").read_bytes() for name in moves}
    assert len(made) == 3
