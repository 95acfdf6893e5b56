"""CLIPSeg of the true architecture with random weights: its answer is that of transformers, and `cutout` cuts by it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTokenizer, ViTImageProcessorPil

from gesso.errors import InvalidRequest, ModelError
from gesso.library import examine, read_layouts
from gesso.manifest import ModelEntry, first_party
from gesso.media.documents import Document, write
from gesso.media.profile import SRGB
from gesso.testing import Studio
from gesso.training.tokenizer import train_tokenizer
from gesso_plugins.segment.family import ClipSegFamily

pytestmark = pytest.mark.filterwarnings("ignore")
TOWER = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as the authors publish theirs: towers for 32 pixels, pictures shown at 48, scaled bilinearly."""
    target = tmp_path_factory.mktemp("clipseg")
    tokenizer: CLIPTokenizer = train_tokenizer(["a red ball", "a green field", "the ball on the field"] * 9, vocabulary=300, length=16)
    torch.manual_seed(3)
    text = {**TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 16, "eos_token_id": tokenizer.eos_token_id}
    vision = {**TOWER, "image_size": 32, "patch_size": 8}
    config = CLIPSegConfig(
        text_config=text, vision_config=vision, projection_dim=16, extract_layers=[0, 1, 2], reduce_dim=16, decoder_num_attention_heads=2,
        decoder_intermediate_size=24, conditional_layer=0,
    )  # fmt: skip
    network = CLIPSegForImageSegmentation(config)
    network.save_pretrained(target)
    tokenizer.save_pretrained(target)
    settings = {"do_resize": True, "do_normalize": True, "size": 48, "resample": 2, "image_mean": MEAN, "image_std": STD}
    (target / "preprocessor_config.json").write_text(json.dumps(settings))
    return target


def entry(path: Path) -> ModelEntry:
    return ModelEntry("seg", "clipseg", "Seg", path, ("segment",))


def picture(width: int = 120, height: int = 90) -> npt.NDArray[np.uint8]:
    """A red ball on a green field."""
    y, x = np.mgrid[:height, :width]
    ball = np.hypot(x - width * 0.5, y - height * 0.5) < height * 0.3
    return np.where(ball[..., None], np.array([210, 40, 30]), np.array([40, 150, 60])).astype(np.uint8)


def test_it_says_of_each_place_what_transformers_says(folder: Path) -> None:
    family = ClipSegFamily()
    card = family.inspect(entry(folder))
    assert card.capabilities == {"segment"}
    model = family.load(card, torch.device("cpu"))
    theirs = CLIPSegForImageSegmentation.from_pretrained(folder).eval()
    words = CLIPTokenizer.from_pretrained(folder)(["a red ball"], return_tensors="pt")
    shown = ViTImageProcessorPil(size={"height": 48, "width": 48}, resample=2, image_mean=MEAN, image_std=STD)(
        picture(), return_tensors="pt"
    )
    with torch.no_grad():
        own = model.apply("segment", {"picture": picture(), "words": "a red ball"})
        exact = theirs(**words, pixel_values=model.preparing([picture()])).logits.sigmoid()
        near = theirs(**words, pixel_values=shown["pixel_values"]).logits.sigmoid()
    assert own.shape == (48, 48)
    assert torch.equal(own, exact.reshape(48, 48))
    assert (own - near.reshape(48, 48)).abs().max() < 0.01
    other = model.apply("segment", {"picture": picture(), "words": "the field"})
    assert not torch.equal(own, other)


def test_a_folder_is_known_by_its_tensors(folder: Path) -> None:
    found = examine(folder, read_layouts(first_party()))
    assert (found.family, found.kind, found.title) == ("clipseg", "image_encoder", "CLIPSeg")


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["CLIPModel"]}')
    with pytest.raises(ModelError, match="runs CLIPSegForImageSegmentation"):
        ClipSegFamily().inspect(entry(tmp_path))


class Certain:
    """A stand-in for weights that were trained: red is the ball."""

    def __init__(self, model: Any) -> None:
        self.__dict__.update(model.__dict__)
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def apply(self, method: str, inputs: Any) -> torch.Tensor:
        assert method == "segment"
        red = torch.from_numpy(inputs["picture"][::2, ::2, 0] > 128).float()
        return red * 0.9 if "ball" in inputs["words"] else red * 0.2


@pytest.fixture
def desk(studio: Studio, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`cutout` with such a model, of the picture above."""
    load = ClipSegFamily.load
    monkeypatch.setattr(ClipSegFamily, "load", lambda self, card, on: Certain(load(self, card, on)))
    kept = studio.registry.models
    studio.registry.models = (*kept, entry(folder))
    data = write(Document(picture(), SRGB, "png"))
    name = hashlib.sha256(data).hexdigest()
    yield lambda **asked: studio.make("cutout", {"image": {"sha256": name}, **asked}, {name: data}).outputs[0]
    studio.registry.models = kept


def test_words_say_what_is_kept(desk: Any) -> None:
    output = desk(subject="a red ball")
    alpha = output.pixels[..., 3] / 255
    ball = picture()[..., 0] > 128
    assert alpha[ball].mean() > 0.97
    assert alpha[~ball].mean() < 0.03
    assert output.model == "seg"
    assert output.params["model"] == "seg"
    around = desk(subject="a red ball", invert=True)
    assert around.pixels[..., 3][~ball].mean() > 0.97 * 255


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ({"subject": "a cloud"}, "subject", "the most is 0.20"),
        ({"subject": "a ball", "mask": {"sha256": "0" * 64}}, "subject", "by a mask and by words"),
        ({"model": "seg"}, "model", "none is given"),
        ({"subject": "a ball", "model": "procedural"}, "model", "cannot do 'segment'"),
    ],
)
def test_what_cannot_be_is_said(desk: Any, asked: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        desk(**asked)
    assert caught.value.field == field
    assert caught.value.hint
