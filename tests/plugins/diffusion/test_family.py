"""The family `stable-diffusion`: what it says of a directory, what it refuses and why, and what its model answers."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.model import Decodes, Denoises, EncodesImages, EncodesText, Patch, Seamless
from gesso.model import Model as AnyModel
from gesso_plugins.diffusion import files
from gesso_plugins.diffusion.stable_diffusion import StableDiffusionFamily

Pipelines = Callable[[str], Path]
FAMILY = StableDiffusionFamily()
UNET = "unet/diffusion_pytorch_model.safetensors"


def entry(path: Path | None, **more: Any) -> ModelEntry:
    return ModelEntry("tiny", "stable-diffusion", "Tiny", path, ("denoise",), "MIT", **more)


@pytest.fixture
def folder(tmp_path: Path, pipelines: Pipelines) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(pipelines("epsilon"), tmp_path / "copy"))


def load(path: Path) -> Any:
    return FAMILY.load(FAMILY.inspect(entry(path)), torch.device("cpu"))


def change(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **values}))


def test_the_card_says_what_the_files_say(pipelines: Pipelines) -> None:
    card = FAMILY.inspect(entry(pipelines("v_prediction"), defaults={"steps": 12}, limits={"largest": 64}))
    assert card.capabilities == {"encode_text", "denoise", "decode", "encode_image", "learn"}
    assert card.parametrisation is not None
    assert card.parametrisation.prediction == "v_prediction"
    assert len(card.parametrisation.sigmas) == 1000
    assert card.latent is not None
    assert card.latent.shape(64, 32) == (4, 16, 32)
    assert (card.defaults.width, card.defaults.steps, card.limits.largest, card.limits.multiple) == (32, 12, 64, 2)
    assert len(card.digest) == 64


def test_the_digest_is_that_of_the_content(folder: Path, pipelines: Pipelines) -> None:
    whole = FAMILY.inspect(entry(folder)).digest
    assert whole == FAMILY.inspect(entry(pipelines("epsilon"))).digest
    assert whole != FAMILY.inspect(entry(pipelines("v_prediction"))).digest
    weights = load_file(folder / UNET)
    weights["conv_in.bias"] = weights["conv_in.bias"] + 1
    save_file(weights, folder / UNET)
    assert FAMILY.inspect(entry(folder)).digest != whole


def test_the_model_answers_its_capabilities(pipelines: Pipelines) -> None:
    model = load(pipelines("epsilon"))
    for kind in (AnyModel, EncodesText, Denoises, Decodes, EncodesImages):
        assert isinstance(model, kind)
    assert model.nbytes > 4 * 10_000
    assert model.latent_shape(32, 16) == (4, 8, 16)
    images = torch.rand(2, 3, 16, 32)
    latents = model.encode_image(images)
    assert latents.shape == (2, 4, 8, 16)
    assert torch.equal(latents, model.encode_image(images))
    decoded = model.decode(latents)
    assert decoded.shape == images.shape
    assert decoded.min() >= 0
    assert decoded.max() <= 1


def test_rows_at_different_levels_are_answered_each_for_itself(pipelines: Pipelines) -> None:
    model = load(pipelines("v_prediction"))
    conds = model.encode_text(["one", "two"])
    x = torch.randn(2, 4, 8, 8)
    sigma = torch.tensor([0.3, 9.0])
    stacked = type(conds[0])(torch.cat([cond.tokens for cond in conds]))
    both = model.denoise(x, sigma, stacked)
    for row in range(2):
        alone = model.denoise(x[row : row + 1], sigma[row : row + 1], conds[row])
        assert torch.allclose(both[row : row + 1], alone, atol=1e-4)


def test_long_prompts_are_chunked_and_grouping_changes_nothing(pipelines: Pipelines) -> None:
    model = load(pipelines("epsilon"))
    short, long = "a" * 10, "b" * 160
    together = model.encode_text([short, long, ""])
    assert [cond.tokens.shape[1] for cond in together] == [77, 231, 77]
    for text, cond in zip([short, long, ""], together, strict=True):
        assert torch.equal(model.encode_text([text])[0].tokens, cond.tokens)
    rows = model.words.chunks(long)
    tokenizer = model.words.tokenizer
    assert all(len(row.ids) == 77 and row.ids[0] == tokenizer.bos_token_id for row in rows)
    assert [row.ids.index(tokenizer.eos_token_id) for row in rows] == [76, 76, 11]


def test_patches_change_the_picture_and_ejecting_restores_it(pipelines: Pipelines) -> None:
    model = load(pipelines("epsilon"))
    latents = torch.randn(1, 4, 8, 8)

    def decoded(*patches: Patch) -> torch.Tensor:
        with model.patched(patches):
            result: torch.Tensor = model.decode(latents)
        return result

    plain = decoded()
    both, across = decoded(Seamless(True, True)), decoded(Seamless(True, False))
    assert not torch.equal(plain, both)
    assert not torch.equal(across, both)
    assert torch.equal(decoded(Seamless(True, True)), both)
    assert torch.equal(decoded(), plain)


def test_what_is_wrapped_rolls_with_its_latent(pipelines: Pipelines) -> None:
    model = load(pipelines("epsilon"))
    latents = torch.randn(1, 4, 8, 8)
    with model.patched([Seamless(True, True)]):
        whole = model.decode(latents)
        rolled = model.decode(torch.roll(latents, (3, 2), (2, 3)))
    assert torch.allclose(torch.roll(whole, (6, 4), (2, 3)), rolled, atol=1e-4)


def test_the_encoder_wraps_where_it_pads_its_downsampling_by_hand(pipelines: Pipelines) -> None:
    """With random weights: what is rolled goes in and comes out rolled, along the wrapped axis alone."""
    model = load(pipelines("epsilon"))
    picture = torch.rand(1, 3, 16, 16)
    with model.patched([Seamless(True, False)]):
        whole = model.encode_image(picture)
        across, down = (model.encode_image(torch.roll(picture, 4, axis)) for axis in (3, 2))
    assert torch.allclose(torch.roll(whole, 2, 3), across, atol=1e-4)
    assert not torch.allclose(torch.roll(whole, 2, 2), down, atol=1e-3)
    with model.patched([]):
        plain = model.encode_image(torch.roll(picture, 4, 3))
        assert not torch.allclose(torch.roll(model.encode_image(picture), 2, 3), plain, atol=1e-3)


def test_patches_it_cannot_take_are_refused(pipelines: Pipelines) -> None:
    model = load(pipelines("epsilon"))
    with pytest.raises(InvalidRequest, match="cannot take Patch"), model.patched([Patch()]):
        raise AssertionError
    with pytest.raises(InvalidRequest, match="once"), model.patched([Seamless(True, True), Seamless(True, False)]):
        raise AssertionError


def test_the_preview_comes_close_to_the_decoder(pipelines: Pipelines) -> None:
    model = load(pipelines("epsilon"))
    matrix = model.preview_matrix()
    assert matrix.shape == (5, 3)
    assert model.preview_matrix() is matrix
    latents = torch.nn.functional.interpolate(torch.randn(1, 4, 4, 4), size=(16, 16), mode="nearest")
    decoded = torch.nn.functional.avg_pool2d(model.decode(latents), 2)
    guess = torch.einsum("bchw,cr->brhw", latents, matrix[:4]) + matrix[4].view(1, 3, 1, 1)
    assert (guess - decoded).square().mean() < decoded.var()


def test_names_of_old_checkpoints_are_understood(folder: Path, pipelines: Pipelines) -> None:
    path = folder / "vae/diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = {}
    for name, value in load_file(path).items():
        for new, before in old.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{before}.")  # noqa: PLW2901
        weights[name] = value
    assert any(".query." in name for name in weights)
    save_file(weights, path)
    text = folder / "text_encoder/model.safetensors"
    states = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in load_file(text).items()}
    states["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(states, text)
    latents = torch.randn(1, 4, 8, 8)
    model, fresh = load(folder), load(pipelines("epsilon"))
    assert torch.equal(model.decode(latents), fresh.decode(latents))
    assert torch.equal(model.encode_text(["x"])[0].tokens, fresh.encode_text(["x"])[0].tokens)


def broken(folder: Path, how: str) -> None:
    """Break a directory in one way."""
    unet, index = folder / UNET, folder / "model_index.json"
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    blobs = {
        "zip": b"PK\x03\x04" + bytes(100),
        "pickle": pickle.dumps({"a": 1}),
        "empty": b"",
        "bomb": struct.pack("<Q", 2**60) + b"{",
        "no json": struct.pack("<Q", 8) + b"notjson!" + bytes(64),
        "list": struct.pack("<Q", 2) + b"[]",
        "odd dtype": struct.pack("<Q", len(header)) + header.replace(b"F32", b"X32") + bytes(4),
        "negative": struct.pack("<Q", len(header)) + header.replace(b"[1]", b"[-1]"[:3]) + bytes(4),
        "cut": unet.read_bytes()[:-1000],
    }
    if how in blobs:
        unet.write_bytes(blobs[how])
        return
    changes: dict[str, Callable[[], Any]] = {
        "only pickle": lambda: unet.rename(unet.with_name("diffusion_pytorch_model.bin")),
        "no weights": unet.unlink,
        "variants": lambda: [shutil.copy(unet, unet.with_name(f"a.{n}.safetensors")) for n in (1, 2)] and unet.unlink(),
        "no folder": lambda: shutil.rmtree(folder / "vae"),
        "no index": index.unlink,
        "bad index": lambda: index.write_text("{"),
        "deep index": lambda: index.write_text("[" * 100_000),
        "big index": lambda: index.write_text(" " * 2_000_000),
        "list index": lambda: index.write_text("[]"),
        "pipeline": lambda: change(index, _class_name="EvilPipeline"),
        "class": lambda: change(index, unet=["my_code", "UNet2DConditionModel"]),
        "no class": lambda: change(index, unet=None),
        "seven channels": lambda: change(folder / "unet/config.json", in_channels=7),
        "prediction": lambda: change(folder / "scheduler/scheduler_config.json", prediction_type="magic"),
        "betas": lambda: change(folder / "scheduler/scheduler_config.json", beta_start=2.0),
        "shape": lambda: change(folder / "scheduler/scheduler_config.json", beta_schedule="wavy"),
        "shard": lambda: (folder / "unet/x.safetensors.index.json").write_text('{"weight_map": {"a": "../../x.safetensors"}}'),
    }
    changes[how]()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("zip", "is a pickle under another name"),
        ("pickle", "is a pickle under another name"),
        ("empty", "does not fit"),
        ("bomb", "does not fit"),
        ("no json", "not JSON"),
        ("list", "not an object"),
        ("odd dtype", "cannot be"),
        ("negative", "sound safetensors"),
        ("cut", "cut short"),
        ("only pickle", "can run code"),
        ("no weights", "no safetensors"),
        ("variants", "several variants"),
        ("no folder", "missing"),
        ("no index", "is not there"),
        ("bad index", "not valid JSON"),
        ("deep index", "not valid JSON"),
        ("big index", "larger than"),
        ("list index", "JSON object"),
        ("pipeline", "'EvilPipeline'"),
        ("class", "my_code"),
        ("no class", "None as its unet"),
        ("seven channels", "7 channels in"),
        ("prediction", "'magic'"),
        ("betas", "makes no sense"),
        ("shape", "'wavy'"),
        ("shard", "not a safetensors file beside it"),
    ],
)
def test_a_bad_directory_gets_one_sentence_before_anything_is_loaded(folder: Path, how: str, said: str) -> None:
    broken(folder, how)
    with pytest.raises(ModelError) as caught:
        FAMILY.inspect(entry(folder))
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda w: w.pop("conv_in.weight"), "lack conv_in.weight"),
        (lambda w: w.update(extra=torch.zeros(1)), "hold more than it asks for: extra"),
        (lambda w: w.update({"conv_in.bias": torch.zeros(3)}), "cannot be built"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder: Path, what: Callable[[dict[str, torch.Tensor]], Any], said: str) -> None:
    weights = load_file(folder / UNET)
    what(weights)
    save_file(weights, folder / UNET)
    with pytest.raises(ModelError) as caught:
        load(folder)
    assert said in caught.value.message


def test_a_header_whose_length_begins_like_a_pickle_is_read(tmp_path: Path) -> None:
    """The first byte of a sound file is that of its header's length, and may be any."""
    path = tmp_path / "a.safetensors"
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'.ljust(0x80)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(1))
    assert files.read_header(path) == {"a": ("U8", (1,))}


def test_loaded_weights_do_not_hang_on_their_file(folder: Path) -> None:
    model = load(folder)
    x, sigma, cond = torch.randn(1, 4, 8, 8), torch.tensor([2.0]), model.encode_text(["x"])[0]
    before = model.denoise(x, sigma, cond)
    size = (folder / UNET).stat().st_size
    (folder / UNET).write_bytes(bytes(size))
    assert torch.equal(model.denoise(x, sigma, cond), before)


def test_shards_and_variants_are_read(folder: Path, pipelines: Pipelines) -> None:
    path = folder / UNET
    weights = load_file(path)
    names = sorted(weights)
    halves = {"one.safetensors": names[: len(names) // 2], "two.safetensors": names[len(names) // 2 :]}
    for file, held in halves.items():
        save_file({name: weights[name] for name in held}, path.parent / file)
    weight_map = {name: file for file, held in halves.items() for name in held}
    (path.parent / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    path.unlink()
    vae = folder / "vae/diffusion_pytorch_model.safetensors"
    vae.rename(vae.with_name("diffusion_pytorch_model.fp16.safetensors"))
    x, sigma = torch.randn(1, 4, 8, 8), torch.tensor([2.0])
    model, fresh = load(folder), load(pipelines("epsilon"))
    cond = fresh.encode_text(["x"])[0]
    assert torch.equal(model.denoise(x, sigma, cond), fresh.denoise(x, sigma, cond))


def test_an_entry_without_a_directory_names_the_fix() -> None:
    for path in (None, Path("/nowhere")):
        with pytest.raises(ModelError, match="is not there") as caught:
            FAMILY.inspect(entry(path))
        assert "train starter" in str(caught.value.hint)


def test_a_digest_is_computed_once_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = files.file_digest(path)
    assert files.file_digest(path) == first
    path.write_bytes(b"other")
    assert files.file_digest(path) != first
