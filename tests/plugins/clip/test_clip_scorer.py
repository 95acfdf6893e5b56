"""The family `clip` gives what transformers gives, for CLIP and SigLIP of any size, and the scorer puts what fits the words first."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from gesso.engine import Embed, Engine, Hooks, ModelRef, Ticket, Warn
from gesso.engine.forward import Forward, TextCache
from gesso.errors import InvalidRequest, ModelError
from gesso.library import examine, read_layouts
from gesso.manifest import ModelEntry, first_party
from gesso.media.preparing import Preparing
from gesso.model import Seamless
from gesso.plugin import ScoreContext
from gesso.testing import Studio
from gesso.training.tokenizer import train_tokenizer
from gesso.worker.context import WorkerContext
from gesso_plugins.clip.family import ClipFamily, ClipModel

pytestmark = pytest.mark.filterwarnings("ignore")
TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 12}
VISION = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}


@pytest.fixture(scope="module", params=["CLIPModel", "SiglipModel"])
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = train_tokenizer(["red brick", "green moss"] * 5, vocabulary=620, length=12)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    words = {"vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    if request.param == "CLIPModel":
        model: Any = CLIPModel(CLIPConfig(text_config=TEXT | words, vision_config=VISION, projection_dim=16))
    else:
        same = TEXT | words | {"hidden_size": 24, "projection_size": 24}
        model = SiglipModel(SiglipConfig(text_config=same, vision_config=VISION))
    model.save_pretrained(folder)
    return folder


def entry(path: Path, name: str = "eye") -> ModelEntry:
    return ModelEntry(name, "clip", name.title(), path, ("embed",))


def pictures() -> tuple[Any, ...]:
    return tuple(np.random.default_rng(i).integers(0, 256, size, np.uint8) for i, size in enumerate([(32, 32, 3), (40, 56, 3)]))


def test_vectors_are_those_of_transformers(directory: Path) -> None:
    family = ClipFamily()
    model = family.load(family.inspect(entry(directory)), torch.device("cpu"))
    network = model._network
    seen = model.embed_images(pictures())
    theirs = network.get_image_features(pixel_values=model.preparing(pictures()))
    theirs = getattr(theirs, "pooler_output", theirs)
    assert torch.allclose(seen, torch.nn.functional.normalize(theirs, dim=-1), atol=1e-5)
    assert torch.allclose(seen.norm(dim=1), torch.ones(2), atol=1e-5)
    ids = model._tokenizer(["moss"], padding="max_length", max_length=12, return_tensors="pt").input_ids
    words = network.get_text_features(input_ids=ids)
    words = getattr(words, "pooler_output", words)
    read = model.embed_texts(["red brick", "moss", "moss"])
    assert read.shape == (3, seen.shape[1])
    assert torch.allclose(read[1:2], torch.nn.functional.normalize(words, dim=-1), atol=1e-5)
    assert torch.equal(read[1], read[2])


def test_words_are_read_once(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ClipFamily().load(ClipFamily().inspect(entry(directory)), torch.device("cpu"))
    read: list[int] = []
    features = model._network.get_text_features
    monkeypatch.setattr(model._network, "get_text_features", lambda input_ids: read.append(len(input_ids)) or features(input_ids=input_ids))
    first = model.embed_texts(["brick"])
    again = model.embed_texts(["moss", "brick"])
    assert read == [1, 1]
    assert torch.equal(first[0], again[1])
    monkeypatch.setattr("gesso_plugins.clip.family.REMEMBERED", 2)
    model.embed_texts(["a", "b", "c"])
    model.embed_texts(["b", "c"])
    assert read == [1, 1, 3], "the newest are kept"


def test_pictures_are_prepared_as_the_directory_says(directory: Path, tmp_path: Path) -> None:
    family = ClipFamily()
    plain = family.load(family.inspect(entry(directory)), torch.device("cpu"))
    wide = np.zeros((32, 64, 3), np.uint8)
    wide[:, :16] = 255
    assert plain.preparing([wide]).shape == (1, 3, 32, 32)
    assert len(plain.preparing([wide]).unique()) > 3
    cut = Preparing.of(32, {"do_center_crop": True})([wide])
    assert len(cut.unique()) == 3  # black in each channel's scale: the bright edge is cut away


def test_what_it_does_not_run_is_a_sentence(directory: Path, tmp_path: Path) -> None:
    family = ClipFamily()
    with pytest.raises(ModelError, match=r"no config\.json"):
        family.inspect(entry(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    with pytest.raises(ModelError, match="BertModel"):
        family.inspect(entry(tmp_path))
    model = family.load(family.inspect(entry(directory)), torch.device("cpu"))
    with pytest.raises(InvalidRequest, match="too small"):
        model.embed_images([np.zeros((4, 4, 3), np.uint8)])
    with pytest.raises(InvalidRequest, match="Seamless"):
        model.patched([Seamless(True, True)])


def test_it_is_known_by_its_tensors(directory: Path) -> None:
    found = examine(directory, read_layouts(first_party()))
    assert (found.family, found.kind) == ("clip", "image_encoder")


# ---- the scorer, with the model that ships ----


def render(studio: Studio, prompt: str, seed: int, size: int = 128) -> Any:
    made = studio.make("generate", {"prompt": prompt, "seed": seed, "width": size, "height": size, "tile": "xy", "model": "procedural"})
    return made.outputs[0].pixels


def score(studio: Studio, shown: list[Any], prompt: str) -> list[float]:
    found: list[float] = studio.run(studio.registry.scorer("clip").function(ScoreContext(studio.context(), shown, prompt)))
    return found


def test_what_fits_the_words_comes_first(studio: Studio) -> None:
    words = ["red brick", "green moss", "white marble", "blue fabric"]
    shown = [render(studio, prompt, 40 + place) for place, prompt in enumerate(words)]
    for place, prompt in enumerate(words):
        scores = score(studio, shown, prompt)
        assert all(0 <= value <= 1 for value in scores)
        assert int(np.argmax(scores)) == place, (prompt, scores)


def test_sixteen_pictures_take_one_forward_and_so_do_those_of_two_jobs(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    embed = ClipModel.embed_images
    monkeypatch.setattr(ClipModel, "embed_images", lambda self, shown: batches.append(len(shown)) or embed(self, shown))
    picture = render(studio, "red brick", 1, 64)
    assert len(score(studio, [picture] * 16, "red brick")) == 16
    assert batches == [16]

    card = studio.catalogue.card("clip")
    calls = [Embed(ModelRef(card.name, card.digest), (picture,), (word,)) for word in ("brick", "moss")]
    batches.clear()
    alone = [Forward(studio.pool, TextCache()).run([call], [None])[0] for call in calls]
    together = Forward(studio.pool, TextCache()).run(calls, [None] * len(calls))
    assert batches == [1, 1, 2]
    for one, other in zip(alone, together, strict=True):
        assert torch.allclose(one[0], other[0], atol=1e-5)
        assert torch.equal(one[1], other[1])


def test_jobs_that_score_at_the_same_time_share_a_forward(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    embed = ClipModel.embed_images
    monkeypatch.setattr(ClipModel, "embed_images", lambda self, shown: batches.append(len(shown)) or embed(self, shown))
    picture = render(studio, "red brick", 1, 64)

    def scoring(ctx: WorkerContext, words: str) -> Any:
        for _ in range(6):  # the engine has seen three pictures alone before it tries two at once
            yield from ctx.scores({"clip": 1}, [picture], prompt=words)

    for level, together in (("fast", True), ("exact", False)):
        batches.clear()
        engine = Engine(studio.pool, studio.threads, Hooks(lambda *_: None))
        for words in ("red brick", "moss"):
            ctx = WorkerContext(studio.registry, studio.catalogue, level, {})  # type: ignore[arg-type]
            engine.start(Ticket(words, level=level), scoring(ctx, words))  # type: ignore[arg-type]
        engine.run()
        assert sum(batches) == 12
        assert (2 in batches) == together


def test_best_of_and_the_default_scorer(studio: Studio) -> None:
    params = {"prompt": "red brick", "seed": 3, "width": 64, "height": 64, "tile": "xy", "model": "procedural", "best_of": 4, "keep": 2}
    made = studio.make("generate", {**params, "score": {"clip": 1, "seam": 0.5}})
    totals = [output.score for output in made.outputs]
    assert len(totals) == 2
    assert totals == sorted(totals, reverse=True)
    assert set(made.outputs[0].info["scores"]) == {"clip", "seam"}
    assert made.warnings == []
    assert set(studio.make("generate", params).outputs[0].info["scores"]) == {"clip"}, "the one that compares with words is the default"


def test_what_cannot_be_scored_costs_its_score(studio: Studio) -> None:
    picture = render(studio, "red brick", 1, 64)
    ctx = studio.context()
    scores = studio.run(studio.registry.scorer("clip").function(ScoreContext(ctx, [picture, picture[:4]], "red brick")))
    assert math.isnan(scores[1])
    assert scores[0] > 0
    assert ctx.warnings == ["A picture of less than 8 pixels a side is too small to be compared with words."]
    studio.registry.models = tuple(model for model in studio.registry.models if model.name != "clip")
    params = {"prompt": "red brick", "model": "procedural", "width": 64, "height": 64, "seed": 1, "score": {"clip": 1, "seam": 1}}
    made = studio.make("generate", params)
    assert set(made.outputs[0].info["scores"]) == {"seam"}
    told = [event.message for event in made.events if isinstance(event, Warn)]
    assert told == ["The scorer 'clip' failed, and its score is missing: There is no model that can do 'embed'."]
