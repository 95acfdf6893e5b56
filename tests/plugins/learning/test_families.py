"""LoRAs are learned for SDXL with its two encoders and for transformers, those of rectified flow too, and their files do the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.unets import build_xl

from gesso.manifest import ModelEntry, first_party
from gesso.model import Plan
from gesso.plugin import build_plugins
from gesso_plugins.diffusion.lora import LoraFamily, PutOn
from gesso_plugins.learning.base import load_base
from gesso_plugins.learning.lessons import Example, Examples, draw, told
from gesso_plugins.learning.pupil import Pupil
from gesso_plugins.learning.recipe import Recipe

pytestmark = [pytest.mark.families, pytest.mark.filterwarnings("ignore")]
CPU = torch.device("cpu")
BUILDERS: dict[str, Callable[[Path], Path]] = {
    "xl": build_xl,
    "sd3": tiny.sd3,
    "flux": tiny.flux,
    "z-image": tiny.z_image,
    "pixart": tiny.pixart,
}


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_lora_is_learned_and_its_file_does_the_same(kind: str, tmp_path: Path) -> None:
    model: Any = load_base(str(BUILDERS[kind](tmp_path)), build_plugins(first_party()), (), CPU)
    blank, cond = (told(each, model.card) for each in model.encode_text(["", "striped"]))
    latent = torch.randn((1, *model.latent_shape(32, 32)), generator=torch.Generator().manual_seed(1))
    examples, recipe = Examples((Example(latent, cond),), blank), Recipe(batch=2, learning_rate=5e-3, dropout=0.0)
    pupil = Pupil(model.plan_lora(Plan(2, 4.0, "attention", 1)), recipe.learning_rate)
    assert pupil.factors.layers
    lesson = draw(examples, model.card, recipe, 0)
    losses = []
    for _ in range(12):
        loss, _ = model.lora_loss(pupil.factors, lesson)
        pupil.descend(loss, 1.0)
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    x, sigma = latent, torch.tensor([0.5])
    plain = model.denoise(x, sigma, cond)
    with model.wearing(pupil.factors, (False, False)):
        wanted = model.denoise(x, sigma, cond)
    path = tmp_path / "made.safetensors"
    save_file(model.lora_tensors(pupil.factors), path)
    family = LoraFamily()
    lora = family.load(family.inspect(ModelEntry("made", "lora", "made", path, ("lora",), kind="lora")), CPU)
    put_on = PutOn(model.layers, [(lora, 1.0)], model.card)
    found = model.denoise(x, sigma, cond)
    put_on.eject()
    assert float((found - wanted).abs().max()) < 0.05 * float((plain - wanted).abs().max())
    assert torch.equal(model.denoise(x, sigma, cond), plain)
