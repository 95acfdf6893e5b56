"""The safety checker of diffusers: its own verdicts, through the content check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig

from gesso.errors import InvalidRequest, ModelError, Refused
from gesso.library import examine, read_layouts
from gesso.manifest import ModelEntry, first_party
from gesso.media import Output
from gesso.testing import Studio
from gesso.worker.filtering import after
from gesso_plugins.clip.safety import SafetyFamily

pytestmark = pytest.mark.filterwarnings("ignore")
VISION = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
DARK, LIGHT = np.zeros((40, 56, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose first concept is what it sees in a dark picture; the others are never met."""
    folder = tmp_path_factory.mktemp("checker")
    torch.manual_seed(5)
    network = StableDiffusionSafetyChecker(CLIPConfig(vision_config=VISION, projection_dim=16))
    for parameter in (network.concept_embeds_weights, network.special_care_embeds_weights):
        parameter.data.fill_(2.0)
    model = SafetyFamily()
    network.save_pretrained(folder)
    preparing = model.load(model.inspect(entry(folder)), torch.device("cpu")).preparing
    with torch.no_grad():
        network.concept_embeds.data[0] = network.visual_projection(network.vision_model(preparing([DARK]))[1])[0]
    network.concept_embeds_weights.data[0] = 0.999
    network.save_pretrained(folder)
    return folder


def entry(path: Path) -> ModelEntry:
    return ModelEntry("checker", "safety-checker", "Checker", path, ("judge",))


def test_its_verdicts_are_those_of_diffusers(checker: Path) -> None:
    family = SafetyFamily()
    model = family.load(family.inspect(entry(checker)), torch.device("cpu"))
    assert model.apply("judge", {"pictures": (DARK, LIGHT)}) == [True, False]
    theirs = StableDiffusionSafetyChecker.from_pretrained(checker)
    assert theirs(model.preparing([DARK, LIGHT]), np.zeros((2, 1, 1, 3)))[1] == [True, False]
    with pytest.raises(InvalidRequest, match="it has judge"):
        model.apply("dream", {})


def test_the_content_check_asks_it(studio: Studio, checker: Path) -> None:
    kept = studio.registry.options
    studio.registry.models = (*studio.registry.models, entry(checker))
    outputs = [Output(pixels, "image", index, 6, {}, "procedural") for index, pixels in enumerate((DARK, LIGHT))]

    def check(**options: Any) -> Any:
        studio.registry.options = {**kept, "clip": options}
        return studio.run(after(studio.registry, studio.context(), "generate", {}, outputs))

    try:
        flagged = check(safety_checker="checker")
        assert [output.info.get("filters") for output in flagged] == [
            {"content_check": {"action": "flag", "concepts": {"what checker finds": 1.0}}},
            None,
        ]
        with pytest.raises(Refused, match="what checker finds"):
            check(safety_checker="checker", content_action="refuse")
        with pytest.raises(InvalidRequest, match="cannot do 'judge'"):
            check(safety_checker="clip")
    finally:
        studio.registry.options = kept


def test_it_is_known_by_its_tensors_and_others_are_refused(checker: Path, tmp_path: Path) -> None:
    found = examine(checker, read_layouts(first_party()))
    assert (found.family, found.kind) == ("safety-checker", "image_encoder")
    (tmp_path / "config.json").write_text('{"architectures": ["CLIPModel"]}')
    with pytest.raises(ModelError, match="StableDiffusionSafetyChecker"):
        SafetyFamily().inspect(entry(tmp_path))
