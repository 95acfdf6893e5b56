"""Our LoRA files are read by diffusers' own loader through peft, and change the same weights by the same amounts."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import save_file
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.unets import build_xl

from gesso.manifest import ModelEntry, first_party
from gesso.model import Factors, Plan
from gesso.plugin import build_plugins
from gesso_plugins.diffusion.lora import LoraFamily, PutOn
from gesso_plugins.learning.base import Base, load_base

pytestmark = [
    pytest.mark.families,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(find_spec("peft") is None, reason="peft lies on the path in this test's own step of CI alone"),
]
CPU = torch.device("cpu")


def learned(model: Base, layers: str) -> Factors:
    """Factors that change every layer."""
    factors = model.plan_lora(Plan(2, 4.0, layers, 1))  # type: ignore[arg-type]
    with torch.no_grad():
        for up in factors.up:
            up.normal_(std=0.1)
    return factors


def check(folder: Path, layers: str, path: Path) -> None:
    """Every weight that the factors change is, after `load_lora_weights`, what they make of it."""
    model: Any = load_base(str(folder), build_plugins(first_party()), (), CPU)
    factors = learned(model, layers)
    save_file(model.lora_tensors(factors), path)
    family = LoraFamily()
    ours = family.load(family.inspect(ModelEntry("made", "lora", "made", path, ("lora",), kind="lora")), CPU)
    PutOn(model.layers, [(ours, 1.0)], model.card).eject()  # refuses what it finds no layer for
    assert len(ours.changes) == len(factors.layers)
    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    network = getattr(pipeline, "unet", None) or pipeline.transformer
    before = {name: network.get_submodule(name).weight.detach().clone() for name in factors.layers}
    pipeline.load_lora_weights(path.parent, weight_name=path.name)
    pipeline.fuse_lora()
    for place, (name, down, up) in enumerate(zip(factors.layers, factors.down, factors.up, strict=True)):
        layer = network.get_submodule(name)
        after = getattr(layer, "base_layer", layer).weight
        change = factors.scale(place) * (up.flatten(1) @ down.flatten(1)).view_as(after)
        torch.testing.assert_close(after, before[name] + change, rtol=1e-3, atol=2e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("layers", ["attention", "all"])
def test_of_stable_diffusion(pipelines: Callable[[str], Path], layers: str, tmp_path: Path) -> None:
    check(pipelines("epsilon"), layers, tmp_path / "made.safetensors")


OTHERS = {"xl": (build_xl, "all"), "sd3": (tiny.sd3, "attention"), "flux": (tiny.flux, "attention")}


@pytest.mark.parametrize(("build", "layers"), OTHERS.values(), ids=OTHERS)
def test_of_other_families(build: Callable[[Path], Path], layers: str, tmp_path: Path) -> None:
    check(build(tmp_path / "model"), layers, tmp_path / "made.safetensors")
