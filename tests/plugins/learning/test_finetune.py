"""Learning a LoRA: the loss is that of the network's own answer, a run goes on to equal bits, and the file does what was learned."""

from __future__ import annotations

import dataclasses
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from gesso.errors import InvalidRequest, OutputError, StorageFull, UsageError
from gesso.manifest import ModelEntry
from gesso.model import Factors, Plan
from gesso.training.checkpoint import load_checkpoint
from gesso_plugins.learning.base import Base
from gesso_plugins.learning.command import run as command
from gesso_plugins.learning.config import FinetuneConfig
from gesso_plugins.learning.data import read_folder
from gesso_plugins.learning.finetune import finetune
from gesso_plugins.learning.lessons import Example, Examples, draw, held_out
from gesso_plugins.learning.pupil import Pupil
from gesso_plugins.learning.recipe import Recipe

from .conftest import picture

pytestmark = pytest.mark.filterwarnings("ignore")
Get = Callable[[str], Base]
LATENT = (1, 4, 16, 16)


def example(model: Base, seed: int = 3) -> Examples:
    latent = torch.randn(LATENT, generator=torch.Generator().manual_seed(seed))
    blank, cond = model.encode_text(["", "striped"])
    return Examples((Example(latent, cond),), blank)


def spread(factors: Factors) -> Factors:
    """Factors that change something."""
    for up in factors.up:
        up.data = torch.randn(up.shape, generator=torch.Generator().manual_seed(up.numel())) * 0.05
    return factors


def plan(recipe: Recipe) -> Plan:
    return Plan(recipe.rank, recipe.alpha, recipe.layers, recipe.seed)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_the_loss_is_that_of_what_the_network_itself_says(base: Get, pipelines: Callable[[str], Path], prediction: str) -> None:
    """diffusers adds the noise and names the target; its network, which no LoRA changes, gives the answer."""
    from diffusers import DDIMScheduler, UNet2DConditionModel

    model, folder = base(prediction), pipelines(prediction)
    lesson = draw(example(model), model.card, Recipe(batch=3, dropout=0.0), 5)
    scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", local_files_only=True)
    levels = torch.tensor(model.parametrisation.sigmas)
    times = torch.stack([(levels - sigma).abs().argmin() for sigma in lesson.sigmas])
    noisy = scheduler.add_noise(lesson.latents, lesson.noise, times)
    with torch.no_grad():
        said = unet(noisy, times, torch.cat([cond.tokens for cond in lesson.conds])).sample
    wanted = {
        "epsilon": lesson.noise,
        "v_prediction": scheduler.get_velocity(lesson.latents, lesson.noise, times),
        "sample": lesson.latents,
    }[prediction]
    loss, _ = model.lora_loss(model.plan_lora(Plan(2, 2.0, "all", 1)), lesson)
    assert float(loss) == pytest.approx(float((said - wanted).square().mean()), rel=1e-3)


def test_every_factor_learns_and_the_model_stays_as_it_was(base: Get, recipe: Recipe) -> None:
    model = base("epsilon")
    examples = example(model)
    x, sigma, cond = examples.examples[0].latent * 3, torch.tensor([2.0]), examples.examples[0].cond
    before = model.denoise(x, sigma, cond)
    pupil = Pupil(model.plan_lora(plan(recipe)), recipe.learning_rate)
    started = {name: value.clone() for name, value in pupil.named_tensors().items()}
    for step in range(3):
        loss, _ = model.lora_loss(pupil.factors, draw(examples, model.card, recipe, step))
        pupil.descend(loss, 1.0)
    assert [name for name, value in pupil.named_tensors().items() if torch.equal(value, started[name])] == []
    assert torch.equal(model.denoise(x, sigma, cond), before)
    with model.wearing(pupil.factors, (False, False)):
        assert not torch.equal(model.denoise(x, sigma, cond), before)


def test_it_learns(base: Get, recipe: Recipe) -> None:
    """On the same lesson the error falls by a fifth."""
    model = base("epsilon")
    lesson = draw(example(model), model.card, recipe, 0)
    pupil = Pupil(model.plan_lora(plan(recipe)), 5e-3)
    losses = []
    for _ in range(12):
        loss, _ = model.lora_loss(pupil.factors, lesson)
        pupil.descend(loss, 1.0)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_attention_alone_is_a_part_of_all(base: Get) -> None:
    model = base("epsilon")
    some, every = (model.plan_lora(Plan(2, 2.0, layers, 1)).layers for layers in ("attention", "all"))  # type: ignore[arg-type]
    assert set(some) < set(every)
    assert any("to_q" in name for name in some)
    assert {"conv_in", "conv_out"} <= set(every) - set(some)


def test_the_file_does_in_a_job_what_was_learned(base: Get, pipelines: Callable[[str], Path], studio: Any, tmp_path: Path) -> None:
    """Through the loader of LoRA files, at the weight 1; the file's numbers have 16 bits."""
    from safetensors.torch import save_file

    model = base("v_prediction")
    factors = spread(model.plan_lora(Plan(3, 6.0, "all", 4)))
    examples = example(model)
    x, sigma, cond = examples.examples[0].latent * 3, torch.tensor([2.0]), examples.examples[0].cond
    with model.wearing(factors, (False, False)):
        wanted = model.denoise(x, sigma, cond)
    save_file(model.lora_tensors(factors), tmp_path / "made.safetensors")
    studio.registry.models = (
        *studio.registry.models,
        ModelEntry("made", "lora", "made", tmp_path / "made.safetensors", ("lora",), kind="lora"),
    )
    studio.add("tiny", pipelines("v_prediction"))
    from gesso.engine import Denoise
    from gesso.model import Lora, ModelRef

    def job() -> Any:
        tiny, made = (studio.catalogue.card(name) for name in ("tiny", "made"))
        patches = (Lora(ModelRef("made", made.digest), 1.0),)
        return (yield Denoise(model=ModelRef("tiny", tiny.digest), x=x, sigma=2.0, conds=(cond,), patches=patches)).denoised

    found, plain = studio.run(job()), model.denoise(x, sigma, cond)
    assert float((found - wanted).abs().max()) < 0.02 * float((plain - wanted).abs().max())


def learned(model: Base, folder: Path, config: FinetuneConfig, out: Path, unseen: Any = ()) -> bytes:
    finetune(model, read_folder(folder, None, model.card, 32), unseen, config, out)
    return out.read_bytes()


def test_a_run_that_goes_on_equals_an_unbroken_one(
    base: Get, pictures: Path, tmp_path: Path, config: FinetuneConfig, ended_after: Callable[[int, Callable[[], object]], None]
) -> None:
    model = base("epsilon")
    unbroken = learned(model, pictures, config, tmp_path / "made.safetensors")
    broken = dataclasses.replace(config, out=tmp_path / "broken")
    ended_after(3, lambda: learned(model, pictures, broken, tmp_path / "made.safetensors"))
    half = load_checkpoint(broken.out / "checkpoint")
    assert half is not None
    assert half.facts["step"] == 3
    assert (tmp_path / "made.safetensors").read_bytes() != unbroken
    assert learned(model, pictures, broken, tmp_path / "made.safetensors") == unbroken


def test_the_file_tells_what_it_was_learned_from(base: Get, pictures: Path, tmp_path: Path, config: FinetuneConfig) -> None:
    model = base("epsilon")
    learned(model, pictures, config, tmp_path / "made.safetensors")
    with safe_open(tmp_path / "made.safetensors", "pt") as file:
        told = file.metadata()
    assert (told["ss_network_dim"], told["ss_network_alpha"], told["ss_steps"]) == ("2", "2", "6")
    assert told["modelspec.trigger_phrase"] == "striped"
    assert json.loads(told["gesso"])["base"]["digest"] == model.card.digest


@pytest.mark.parametrize(("field", "value"), [("rank", 3), ("steps", 9), ("tile", "xy")])
def test_a_run_does_not_go_on_with_another_recipe(
    base: Get, pictures: Path, tmp_path: Path, config: FinetuneConfig, field: str, value: object
) -> None:
    model = base("epsilon")
    short = dataclasses.replace(config, recipe=dataclasses.replace(config.recipe, steps=1))
    learned(model, pictures, short, tmp_path / "made.safetensors")
    other = dataclasses.replace(short, recipe=dataclasses.replace(short.recipe, **{field: value}))
    with pytest.raises(InvalidRequest, match=f"begun with the {field} .*, not {value}") as caught:
        learned(model, pictures, other, tmp_path / "made.safetensors")
    assert caught.value.field == field


def test_held_out_pictures_end_the_run_and_the_best_is_kept(base: Get, pictures: Path, tmp_path: Path, config: FinetuneConfig) -> None:
    """At a rate that only spoils, the first look is the best one."""
    model = base("epsilon")
    wild = dataclasses.replace(config.recipe, steps=40, learning_rate=0.3, warmup=0)
    config = dataclasses.replace(config, recipe=wild, validate_every=1, patience=3)
    picture(77).save(tmp_path / "unseen.png")
    unseen = read_folder(tmp_path, "striped", model.card, 32)
    learned(model, pictures, config, tmp_path / "made.safetensors", unseen)
    checkpoint = load_checkpoint(config.out / "checkpoint")
    assert checkpoint is not None
    assert checkpoint.facts["step"] < 40
    assert checkpoint.facts["stale"] == 3
    (cond,) = model.encode_text(["striped"])
    latents = [model.encode_image(sample.image) for sample in unseen]
    tests = held_out([Example(latent, cond) for latent in latents], model.card, wild)
    pupil = Pupil(model.plan_lora(plan(wild)), 1.0)
    losses = {}
    for part in ("best", "now"):
        start = f"model.{part}."
        pupil.load_tensors({name[len(start) :]: value for name, value in checkpoint.tensors.items() if name.startswith(start)})
        losses[part] = float(sum(float(model.lora_loss(pupil.factors, lesson)[0]) for lesson in tests)) / len(tests)
    assert losses["best"] == pytest.approx(checkpoint.facts["best_loss"], rel=1e-5)
    assert losses["best"] < losses["now"]


def test_a_full_disk_leaves_the_checkpoint_before(base: Get, tmp_path: Path, recipe: Recipe) -> None:
    """The system's own limit on the size of a file is what fails the write, half-way."""
    pupil = Pupil(base("epsilon").plan_lora(plan(recipe)), 1e-3)
    pupil.save(tmp_path / "checkpoint", {"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StorageFull, match="no room left to write"):
            pupil.save(tmp_path / "checkpoint", {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    assert pupil.restore(tmp_path / "checkpoint") == {"step": 1}


def test_rolled_lessons_are_the_same_picture_elsewhere(base: Get) -> None:
    model = base("epsilon")
    examples = example(model)
    recipe = Recipe(batch=4, tile="x")
    lessons = [draw(examples, model.card, recipe, step) for step in range(3)]
    latent = examples.examples[0].latent[0].numpy()
    for row in torch.cat([lesson.latents for lesson in lessons]).numpy():
        assert any(np.array_equal(np.roll(latent, shift, 2), row) for shift in range(latent.shape[2]))
    assert all(lesson.wraps == (True, False) for lesson in lessons)
    assert not np.array_equal(lessons[0].latents.numpy(), lessons[1].latents.numpy())


def test_the_command(pipelines: Callable[[str], Path], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = str(pipelines("epsilon")), tmp_path / "made.safetensors"
    words = [model, "--data", str(pictures), "--out", str(out), "--steps", "2", "--rank", "1", "--size", "32", "--batch", "1"]
    assert command(words) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert (tmp_path / "made.run" / "loss.csv").read_text().startswith("stage,step")
    with pytest.raises(UsageError, match="holds a run"):
        command(words)
    assert command([*words, "--continue"]) == 0
    with pytest.raises(OutputError, match="exists already"):
        command([*words, "--run", str(tmp_path / "another")])
    with pytest.raises(InvalidRequest, match="cannot be fine-tuned") as caught:
        command(["procedural", *words[1:], "--run", str(tmp_path / "another"), "--force"])
    assert caught.value.field == "model"
