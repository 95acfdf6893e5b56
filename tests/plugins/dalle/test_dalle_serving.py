"""A model with random weights behind `generate` and `edit`: in the real engine, and from `gesso models add` to a daemon's picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.plugins.dalle.conftest import TINY

from gesso.cli import main
from gesso.client import Client
from gesso.client import Preview as Seen
from gesso.engine import Preview, Progress
from gesso.errors import Cancelled, InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.media import png
from gesso.plugin import PreviewContext
from gesso.testing import Studio
from gesso_plugins.dalle.family import DalleFamily, DalleModel
from gesso_plugins.dalle.plugin import tokens as previewed

ASKED = {"prompt": "red rows", "model": "drawer", "seed": 5}
Making = Callable[..., Any]


@pytest.fixture
def making(studio: Studio, untrained: Path) -> Making:
    studio.add("drawer", untrained, "dalle")
    return lambda **more: studio.make("generate", {**ASKED, **more})


@pytest.fixture(scope="module")
def model(untrained: Path) -> DalleModel:
    family = DalleFamily()
    return family.load(family.inspect(ModelEntry("dalle", "dalle", "D", untrained, ())), torch.device("cpu"))


def file_of(pixels: Any) -> tuple[dict[str, str], dict[str, bytes]]:
    """A picture as an input: how a request names it, and the blobs."""
    data = png.write(np.asarray(pixels, np.uint8), {})
    name = hashlib.sha256(data).hexdigest()
    return {"sha256": name}, {name: data}


def tokens(pixels: Any, model: DalleModel) -> torch.Tensor:
    """The likeliest tokens of a picture, before its bytes were rounded."""
    return model.encode_image(torch.from_numpy(pixels.copy()).movedim(-1, 0)[None] / 255).flatten()


def drawn_tokens(made: Any, index: int = 0) -> torch.Tensor:
    """What the last preview of a picture shows: all of its tokens."""
    return [event.latent for event in made.events if isinstance(event, Preview) and event.image == index][-1].flatten()


def test_a_seed_is_its_bytes_and_words_are_heard(making: Making) -> None:
    made = making(count=3)
    assert [output.pixels.shape for output in made.outputs] == [(16, 16, 3)] * 3
    (alone,) = making(seed=6).outputs
    assert alone.pixels.tobytes() == made.outputs[1].pixels.tobytes()
    assert alone.pixels.tobytes() != made.outputs[0].pixels.tobytes()
    (other,) = making(seed=6, prompt="blue columns").outputs
    assert other.pixels.tobytes() != alone.pixels.tobytes()
    assert making(bits=16).outputs[0].pixels.dtype == np.uint16


def test_it_shows_every_token_as_it_comes(making: Making, model: DalleModel) -> None:
    made = making()
    steps = [event for event in made.events if isinstance(event, Progress)]
    assert [(event.step, event.total) for event in steps] == [(i, 16) for i in range(1, 17)]
    previews = [event.latent for event in made.events if isinstance(event, Preview)]
    assert [int((latent >= 0).sum()) for latent in previews] == list(range(1, 17))
    draw = previewed.function(PreviewContext(model))
    assert draw is not None
    early, late = draw(previews[5]), draw(previews[-1])
    assert early.shape == late.shape == (16, 16, 3)
    assert np.array_equal(early[:4], late[:4])
    assert bool((early[8:] == 96).all())  # grey, from the third row of tokens on
    whole = model.decode(previews[-1])
    assert torch.equal((whole[0].movedim(0, -1) * 255).round().byte(), torch.from_numpy(made.outputs[0].pixels))


def test_choices_are_heard(making: Making) -> None:
    likeliest = making(temperature=0).outputs[0].pixels.tobytes()
    assert making(temperature=0, seed=9).outputs[0].pixels.tobytes() == likeliest
    assert making(top_k=1, seed=9).outputs[0].pixels.tobytes() == likeliest
    assert making(top_p=1e-6, seed=9).outputs[0].pixels.tobytes() == likeliest
    plain = making().outputs[0]
    assert plain.pixels.tobytes() != likeliest
    assert making(temperature=1.0, top_k=TINY.vocabulary, top_p=1.0).outputs[0].pixels.tobytes() == plain.pixels.tobytes()
    assert plain.info["measured"]["log_probability"] < making(temperature=0).outputs[0].info["measured"]["log_probability"] < 0


def test_rows_of_several_pictures_share_a_forward_and_none_changes(registry: Any, making: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    whole = DalleModel.proceed

    def proceed(self: DalleModel, memories: Any, taken: Any) -> torch.Tensor:
        rows.append(len(memories))
        return whole(self, memories, taken)

    monkeypatch.setattr(DalleModel, "proceed", proceed)
    alone = [output.pixels for output in making(count=6).outputs]
    assert set(rows) == {1}
    rows.clear()
    fast = Studio(registry, "fast")
    together = [output.pixels for output in fast.make("generate", {**ASKED, "count": 6}).outputs]
    fast.close()
    assert max(rows) > 1
    assert sum(rows) == 6 * 15
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def later_changed(source: Any, model: DalleModel) -> Any:
    """A picture (16, 16, 3) whose first eight tokens are those of another, and of the last eight some are not. The encoder sees beyond a
    token's own pixels, so that not every change below leaves those above alone.
    """
    before = tokens(source, model)
    for seed in range(100):
        late = source.copy()
        late[12:] = np.random.default_rng(seed).integers(0, 255, late[12:].shape)
        after = tokens(late, model)
        if torch.equal(after[:8], before[:8]) and not torch.equal(after[8:], before[8:]):
            return late
    raise AssertionError("no change below leaves the tokens above alone")


def test_what_a_mask_leaves_keeps_its_tokens(making: Making, studio: Studio, model: DalleModel) -> None:
    source = np.random.default_rng(1).integers(0, 255, (16, 16, 3), np.uint8)
    mask = np.zeros((16, 16, 3), np.uint8)
    mask[5:7, 6:14] = 255  # touches the tokens 5, 6 and 7: the second row of four, all but its first
    (image, first), (shown, second) = file_of(source), file_of(mask)
    made = studio.make("generate", {**ASKED, "image": image, "mask": shown, "paste": False}, first | second)
    before, after = tokens(source, model), drawn_tokens(made)
    assert [i for i in range(16) if before[i] != after[i]] in ([5, 6, 7], [5, 6], [5, 7], [6, 7])
    assert len([event for event in made.events if isinstance(event, Progress)]) == 3
    pasted = studio.make("generate", {**ASKED, "image": image, "mask": shown}, first | second).outputs[0].pixels
    assert np.array_equal(pasted[mask == 0], source[mask == 0])
    assert not np.array_equal(pasted, source)
    # all that comes after a place has no say in it, and all before has
    late = later_changed(source, model)
    again = studio.make("generate", {**ASKED, "image": file_of(late)[0], "mask": shown, "paste": False}, file_of(late)[1] | second)
    assert drawn_tokens(again)[:8].tolist() == after[:8].tolist()


def test_strength_is_the_share_that_is_redone(studio: Studio, making: Making, model: DalleModel) -> None:
    source = making(seed=77).outputs[0].pixels
    image, blobs = file_of(source)
    redone = []
    for strength in (0.0, 0.5, 1.0):
        made = studio.make("generate", {**ASKED, "image": image, "strength": strength}, blobs)
        redone.append(len([event for event in made.events if isinstance(event, Progress)]))
    assert redone[0] == 0
    assert redone[2] == 16
    assert 0 < redone[1] < 16
    assert studio.resolve("generate", {**ASKED, "image": image})[0].strength == 0.6  # type: ignore[attr-defined]


def test_a_canvas_grows_and_what_was_there_stays(studio: Studio, making: Making) -> None:
    source = np.random.default_rng(2).integers(0, 255, (16, 16, 3), np.uint8)
    image, blobs = file_of(source)
    asked = {"image": image, "prompt": "red rows", "model": "drawer", "seed": 3, "right": 8, "top_k": 8}
    made = studio.make("edit", asked, blobs)
    (output,) = made.outputs
    assert output.pixels.shape == (16, 24, 3)
    untouched = 16 - output.info["measured"]["blend"]
    assert output.pixels[:, :untouched].tobytes() == source[:, :untouched].tobytes()
    assert making is not None
    assert not made.warnings


def test_a_mask_is_edited_and_all_else_comes_back(studio: Studio, making: Making) -> None:
    source = np.random.default_rng(4).integers(0, 255, (40, 40, 3), np.uint8)
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[10:24, 12:26] = 255
    (image, first), (shown, second) = file_of(source), file_of(mask)
    asked = {"image": image, "mask": shown, "prompt": "red rows", "model": "drawer", "seed": 3, "blend": 0}
    one, two = (studio.make("edit", asked, first | second).outputs[0].pixels for _ in range(2))
    assert one.tobytes() == two.tobytes()
    assert np.array_equal(one[mask == 0], source[mask == 0])
    assert (one[mask > 0] != source[mask > 0]).mean() > 0.5
    assert making is not None


def test_a_picture_is_varied_by_drawing_a_share_of_its_tokens_anew(studio: Studio, making: Making) -> None:
    source = np.random.default_rng(6).integers(0, 255, (16, 16, 3), np.uint8)
    image, blobs = file_of(source)
    asked = {"image": image, "prompt": "red rows", "model": "drawer", "seed": 3, "count": 2}
    near, far = (studio.make("vary", {**asked, "strength": strength}, blobs) for strength in (0.2, 1.0))
    kept = [(a.pixels == b.pixels).mean() for a, b in zip(near.outputs, far.outputs, strict=True)]
    assert all(share < 0.9 for share in kept)
    assert near.outputs[0].pixels.tobytes() != near.outputs[1].pixels.tobytes()
    assert not near.warnings
    one = near.outputs[1]
    assert studio.make("vary", one.params, blobs).outputs[0].pixels.tobytes() == one.pixels.tobytes()
    with pytest.raises(InvalidRequest, match="IP-Adapter") as refused:
        studio.make("vary", {**asked, "by": "embedding"}, blobs)
    assert refused.value.field == "adapter"
    assert making is not None


def test_it_wraps_in_its_decoder_and_says_how_well(making: Making) -> None:
    plain, tiled = making(), making(tile="x")
    assert drawn_tokens(plain).tolist() == drawn_tokens(tiled).tolist()
    assert plain.outputs[0].pixels.tobytes() != tiled.outputs[0].pixels.tobytes()
    assert set(tiled.outputs[0].info["measured"]["seam"]) == {"x"}


def test_rolled_tokens_are_a_rolled_tile(model: DalleModel) -> None:
    from gesso.model import Seamless

    found = torch.randint(TINY.vocabulary, (1, 1, 4, 4), generator=torch.Generator().manual_seed(2))
    with model.patched((Seamless(x=True, y=True),)):
        straight, rolled = model.decode(found), model.decode(found.roll((1, 2), (2, 3)))
    assert torch.allclose(straight.roll((4, 8), (2, 3)), rolled, atol=1e-6)
    assert not torch.allclose(model.decode(found), straight, atol=1e-4)  # and the padding is gone again


def test_the_best_of_several_is_kept(making: Making) -> None:
    every = [output.pixels.tobytes() for output in making(count=4).outputs]
    (best,) = making(best_of=4, score={"sharpness": 1.0}).outputs
    assert best.pixels.tobytes() in every
    (liked,) = making(best_of=2, score={"clip": 1.0}).outputs
    assert liked.score is not None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"width": 32}, "makes pictures of 16 pixels a side, and the width 32"),
        ({"strength": 0.5}, "strength was given without an image"),
        ({"mask": {"sha256": "0" * 64}}, "mask was given without an image"),
        ({"lora": {"a": 1.0}}, "takes no lora"),
        ({"best_of": 4, "prune": [0.5]}, "no picture on its way"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"prompt": " "}, "prompt is empty"),
    ],
)
def test_what_it_cannot_do_is_a_sentence(making: Making, more: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        making(**more)


def test_fields_that_mean_nothing_are_dropped_with_a_warning(making: Making, studio: Studio) -> None:
    made = making(steps=9, negative="blue")
    assert made.warnings == ["The model 'drawer' does not use steps, negative."]
    assert made.params.steps is None
    asked = {"prompt": "red brick", "model": "starter", "seed": 1, "temperature": 0.5, "top_k": 3}
    params, warnings = studio.resolve("generate", asked)
    assert warnings == ["The model 'starter' does not use temperature, top_k."]
    assert params.temperature is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("operation", ["generate", "vary", "edit"])
def test_the_model_that_ships_says_how_its_tokens_are_drawn_best(studio: Studio, operation: str) -> None:
    picture = {"prompt": "red brick", "model": "dalle", "seed": 1}
    if operation != "generate":
        picture["image"] = {"sha256": "0" * 64}
    params, _ = studio.resolve(operation, picture)
    assert (params.temperature, params.top_p) == (0.8, 0.9)  # type: ignore[attr-defined]
    params, _ = studio.resolve(operation, {**picture, "top_p": 1.0, "temperature": 0})
    assert (params.temperature, params.top_p) == (0.0, 1.0)  # type: ignore[attr-defined]


def test_a_default_that_does_not_exist_is_named(untrained: Path) -> None:
    entry = ModelEntry("drawer", "dalle", "D", untrained, (), defaults={"heat": 2})
    with pytest.raises(ModelError, match=r"model 'drawer' that does not exist: .*heat"):
        DalleFamily().inspect(entry)


def test_a_material_is_made_with_it(studio: Studio, making: Making) -> None:
    assert making is not None
    outputs = studio.make("texture", ASKED).outputs
    assert {output.role for output in outputs} >= {"base_color", "height"}


def test_the_weights_that_ship_hear_colours(studio: Studio) -> None:
    asked = {"model": "dalle", "seed": 1}
    red, green = (
        studio.make("generate", {**asked, "prompt": words}).outputs[0].pixels.mean((0, 1)) for words in ("red brick", "green grass")
    )
    assert red[0] > red[1] + 40
    assert green[1] > green[0] + 20


def test_a_file_is_taken_in_and_a_daemon_draws_with_it(
    in_process_daemon: Callable[..., Client], untrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = in_process_daemon()
    assert main(["models", "add", str(untrained), "--name", "drawn"]) == 0
    capsys.readouterr()
    assert main(["models", "info", "drawn", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["title"], told["family"], told["kind"], told["layout"]) == ("DALL-E", "dalle", "checkpoint", "dalle")
    assert told["capabilities"] == ["encode_text", "next_tokens", "encode_image", "decode"]
    asked = {"prompt": "red rows", "model": "drawn", "seed": 3}
    crowd = [client.submit("generate", {**asked, "seed": seed, "count": 4}) for seed in (3, 8)]
    together = [[result.read() for result in job.result().images] for job in crowd]
    (alone,) = client.submit("generate", {**asked, "seed": 9}).result().images
    assert alone.read() == together[1][1]
    assert alone.read().startswith(b"\x89PNG")
    long = client.submit("generate", {**asked, "count": 100})
    for event in long:
        if isinstance(event, Seen):
            long.cancel()
            break
    with pytest.raises(Cancelled):
        long.result()
