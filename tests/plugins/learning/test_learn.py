"""The operation `learn` in the real engine: a LoRA that the next prompt can name, and the same bytes after a broken run."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gesso.device.residency import ModelPool
from gesso.engine import Preview, Progress
from gesso.errors import DataError, InvalidRequest, PluginError
from gesso.library import ModelList, read_header
from gesso.plugin import Places
from gesso.testing import Made
from gesso.worker.models import WorkerCatalogue
from gesso_plugins.learning import learn

from .conftest import picture

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = 6


def content(seed: int) -> bytes:
    held = io.BytesIO()
    picture(seed).save(held, "png")
    return held.getvalue()


CONTENTS = [content(seed) for seed in range(3)]
BLOBS = {hashlib.sha256(each).hexdigest(): each for each in CONTENTS}


@pytest.fixture
def bench(studio: Any, pipelines: Callable[[str], Path], tmp_path: Path) -> Any:
    """A studio with a list of models and a folder for the job."""
    studio.add("tiny", pipelines("epsilon"))
    put(studio, tmp_path / "first")
    return studio


def put(studio: Any, folder: Path) -> None:
    """Let jobs keep their files there; nothing is there yet."""
    studio.places = Places(folder / "job.work", folder / "models" / "models.json")
    studio.catalogue = WorkerCatalogue(studio.registry, studio.places.models)
    studio.pool = ModelPool(studio.catalogue, torch.device("cpu"))


def asked(**more: Any) -> dict[str, Any]:
    images = [{"sha256": name} for name in BLOBS]
    fast = {"model": "tiny", "steps": STEPS, "rank": 2, "batch": 1, "size": 32, "seed": 3, "rate": 0.01}
    return {"images": images, "prompt": "red  stripes", **fast, **more}


def learned(bench: Any, **more: Any) -> Made:
    return bench.make("learn", asked(**more), BLOBS)  # type: ignore[no-any-return]


def file_of(bench: Any, name: str = "red-stripes") -> bytes:
    entry = ModelList(bench.places.models).named(name)
    assert entry is not None
    assert entry.path is not None
    return entry.path.read_bytes()


def test_what_is_learned_is_there_for_the_next_prompt(bench: Any) -> None:
    made = learned(bench)
    (output,) = made.outputs
    assert output.info["measured"]["lora"] == "red-stripes"
    told = [event for event in made.events if isinstance(event, Progress) and event.total == STEPS]
    assert [event.step for event in told][:STEPS] == list(range(1, STEPS + 1))
    assert any(isinstance(event, Preview) for event in made.events)
    prompt = {"prompt": "red stripes", "model": "tiny", "seed": 3}
    plain, again = (bench.make("generate", {**prompt, "lora": lora}).outputs[0].pixels for lora in ({}, {"red-stripes": 1.0}))
    assert np.array_equal(again, output.pixels)
    assert not np.array_equal(again, plain)


def test_the_same_job_is_the_same_lora_under_the_same_name(bench: Any) -> None:
    """A worker that died after it kept the file, and before it could say so, is followed by one that does it again."""
    first = learned(bench).outputs[0]
    once = file_of(bench)
    second = learned(bench).outputs[0]
    assert file_of(bench) == once
    assert np.array_equal(first.pixels, second.pixels)
    assert [entry.name for entry in ModelList(bench.places.models).read()] == ["red-stripes"]


def test_another_job_of_the_same_name_takes_a_number(bench: Any) -> None:
    learned(bench, name="mine")
    once = file_of(bench, "mine")
    assert learned(bench, name="mine", seed=4).outputs[0].info["measured"]["lora"] == "mine-2"
    assert file_of(bench, "mine") == once
    assert learned(bench, name="starter").outputs[0].info["measured"]["lora"] == "starter-2"


def test_it_goes_on_from_its_checkpoint_to_the_same_bytes(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off at the fourth step, after a checkpoint at the second: two steps are done again, and no more."""
    monkeypatch.setattr(learn, "SAVE_EVERY", 2)
    learned(bench)
    unbroken = file_of(bench)
    put(bench, tmp_path / "second")
    whole, seen = learn.draw, []

    def breaking(examples: Any, card: Any, recipe: Any, step: int) -> Any:
        seen.append(step)
        if step == 3 and seen.count(3) == 1:
            raise RuntimeError("the power went")
        return whole(examples, card, recipe, step)

    monkeypatch.setattr(learn, "draw", breaking)
    with pytest.raises(PluginError, match="the power went"):
        learned(bench)
    learned(bench)
    assert seen == [0, 1, 2, 3, 2, 3, 4, 5]
    assert file_of(bench) == unbroken


def test_a_picture_that_cannot_be_read_is_named(bench: Any) -> None:
    torn = CONTENTS[0][:60]
    name = hashlib.sha256(torn).hexdigest()
    with pytest.raises(DataError, match=r"1 of 4 pictures of the job cannot be read; the first is picture 4"):
        bench.make("learn", {**asked(), "images": [*asked()["images"], {"sha256": name}]}, {**BLOBS, name: torn})
    assert ModelList(bench.places.models).read() == ()
    assert learned(bench).outputs


def test_a_model_that_cannot_learn_is_refused_before_anything_is_done(bench: Any) -> None:
    with pytest.raises(InvalidRequest, match="'procedural' cannot be fine-tuned") as caught:
        learned(bench, model="procedural")
    assert caught.value.field == "model"


def test_the_file_tells_its_words_and_its_base(bench: Any) -> None:
    learned(bench)
    entry = ModelList(bench.places.models).named("red-stripes")
    assert entry is not None
    assert entry.path is not None
    told = read_header(entry.path).metadata
    assert told["modelspec.trigger_phrase"] == "red stripes"
    assert json.loads(told["gesso"])["base"]["name"] == "tiny"
