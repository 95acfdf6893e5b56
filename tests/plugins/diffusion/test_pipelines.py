"""Any other pipeline of diffusers gives its own picture, a step at a time; and nothing of a snapshot runs that is not listed."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import diffusers_pipeline
from tests.plugins.diffusion.oracles import picture
from tests.plugins.diffusion.unets import build_sd

from gesso.engine import Engine, Hooks, Preview, Progress, Ticket
from gesso.errors import InvalidRequest, ModelError
from gesso.library import read_layouts
from gesso.manifest import ModelEntry, first_party
from gesso.media import images
from gesso.media.images import quantised
from gesso.plugin.operations import validated
from gesso_plugins.diffusion.pipelines import EDITORS, PIPELINES, PipelineFamily

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # what diffusers tells itself
MAKERS: dict[str, Callable[[Path], Path]] = {"AuraFlowPipeline": tiny.aura_flow, "ChromaPipeline": tiny.chroma}
ASKED = {"prompt": "mossy cobblestone", "negative": "blurred", "model": "tiny", "width": 64, "height": 64, "seed": 5, "steps": 4}


def add(studio: Any, folder: Path) -> None:
    """A pipeline that makes small pictures too."""
    entry = ModelEntry("tiny", "diffusers", "Tiny", folder, ("paint",), defaults={"width": 64, "height": 64}, limits={"smallest": 64})
    studio.registry.models = (*studio.registry.models, entry)


@pytest.mark.families
@pytest.mark.parametrize("kind", MAKERS)
def test_the_picture_is_that_of_diffusers_and_each_step_is_told(studio: Any, tmp_path: Path, kind: str) -> None:
    folder = MAKERS[kind](tmp_path)
    add(studio, folder)
    made = studio.make("generate", {**ASKED, "count": 2})
    wanted = diffusers_pipeline(kind, folder)(
        ASKED["prompt"],
        negative_prompt=ASKED["negative"],
        width=64,
        height=64,
        num_inference_steps=4,
        generator=torch.Generator("cpu").manual_seed(6),
        output_type="np",
    ).images[0]
    assert made.outputs[1].pixels.shape == (64, 64, 3)
    assert np.abs(made.outputs[1].pixels.astype(int) - quantised(wanted, 8)).max() <= 1
    told = [event for event in made.events if isinstance(event, Progress)]
    assert [event.step for event in told if event.image == 0] == [1, 2, 3, 4]
    shown = [event.latent.shape for event in made.events if isinstance(event, Preview)]
    assert len(shown) == 8
    assert set(shown) == {(1, 16, 32, 32)}


def build_instruct_pix2pix(tmp_path: Path) -> Path:
    """A model of the true architecture that follows instructions."""
    parts = diffusers_pipeline("StableDiffusionPipeline", build_sd(tmp_path), safety_checker=None)
    wide = diffusers.UNet2DConditionModel.from_config({**parts.unet.config, "in_channels": 8})
    made = {**parts.components, "unet": wide, "safety_checker": None, "feature_extractor": None, "image_encoder": None}
    folder = tmp_path / "edit"
    diffusers.StableDiffusionInstructPix2PixPipeline(**made, requires_safety_checker=False).save_pretrained(folder)
    return folder


@pytest.mark.families
@pytest.mark.parametrize("operation", ["generate", "instruct"])
def test_a_picture_is_changed_by_words_as_diffusers_does_it(studio: Any, tmp_path: Path, operation: str) -> None:
    folder = build_instruct_pix2pix(tmp_path)
    add(studio, folder)
    name, data = picture(side=64)
    asked = {**ASKED, "guidance": 7.5}
    if operation == "instruct":
        asked = {field: value for field, value in asked.items() if field not in ("width", "height")}
    made = studio.make(operation, {**asked, "image": {"sha256": name}}, {name: data})
    assert made.warnings == []
    result = made.outputs[0].pixels
    wanted = diffusers_pipeline("StableDiffusionInstructPix2PixPipeline", folder, safety_checker=None)(
        ASKED["prompt"],
        image=images.to_planes(data, 64, 64),
        negative_prompt=ASKED["negative"],
        num_inference_steps=4,
        generator=torch.Generator("cpu").manual_seed(5),
        output_type="np",
    ).images[0]
    assert np.abs(result.astype(int) - quantised(wanted, 8)).max() <= 1
    with pytest.raises(InvalidRequest) as caught:
        studio.resolve(operation, asked)
    assert caught.value.field == "image"


@pytest.mark.families
def test_what_it_cannot_do_is_said_before_it_starts(studio: Any, tmp_path: Path) -> None:
    add(studio, tiny.chroma(tmp_path))
    with pytest.raises(InvalidRequest, match="seamless") as caught:
        studio.resolve("generate", {**ASKED, "tile": "xy"})
    assert caught.value.field == "tile"
    resolved, warnings = studio.resolve("generate", {**ASKED, "sampler": "euler", "guidance": None, "steps": None})
    assert "sampler" in warnings[0]
    assert (resolved.steps, resolved.guidance, resolved.sampler) == (35, 5.0, None)


@pytest.mark.families
def test_a_cancel_is_heard_between_two_steps(studio: Any, tmp_path: Path) -> None:
    add(studio, tiny.chroma(tmp_path))
    seen: list[Any] = []

    def hear(job: str, event: Any) -> None:
        seen.append(event)
        if isinstance(event, Progress) and event.step == 2:
            engine.post(lambda: engine.cancel(job))

    engine = Engine(studio.pool, studio.threads, Hooks(hear))
    operation, ctx = studio.registry.operation("generate"), studio.context()
    engine.start(Ticket("job"), operation.run(ctx, operation.resolve(ctx, validated(operation, ASKED))))
    engine.run()
    assert (seen[-1].state, max(event.step for event in seen if isinstance(event, Progress))) == ("cancelled", 2)


@pytest.mark.families
def test_a_painting_that_is_let_go_ends_where_it_stands(studio: Any, tmp_path: Path) -> None:
    add(studio, tiny.chroma(tmp_path))
    family = PipelineFamily()
    model = family.load(studio.context().model("tiny"), torch.device("cpu"))
    inputs = {"prompt": "a", "negative": "", "width": 64, "height": 64, "steps": 3, "guidance": 1.0, "seed": 1, "image": None}
    with torch.no_grad():
        painting: Any = model.apply("begin", inputs)
        assert model.apply("step", {"painting": painting}).step == 1
        painting.close()
        assert not torch.is_grad_enabled()
    assert painting._inside.dead
    painting.close()


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_each_listed_pipeline_takes_what_it_is_given(name: str) -> None:
    takes = set(inspect.signature(getattr(diffusers, name).__call__).parameters)
    assert takes >= {"prompt", "width", "height", "num_inference_steps", "generator", "output_type", "callback_on_step_end"}


@pytest.mark.parametrize(("name", "kinds"), [("pipeline", PIPELINES), ("pipeline-edit", EDITORS)])
def test_the_table_of_models_lists_the_same_pipelines(name: str, kinds: frozenset[str]) -> None:
    layout = read_layouts(first_party()).named(name)
    assert layout is not None
    assert set(layout.classes) == kinds


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """The index of a pipeline, and nothing else."""
    index = {"_class_name": "ChromaPipeline", "vae": ["diffusers", "AutoencoderKL"], "scheduler": ["diffusers", "EulerScheduler"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    return tmp_path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"_class_name": "EvilPipeline"}, "does not know"),
        ({"_class_name": ["pipeline", "MyPipeline"]}, "does not know"),
        ({"vae": ["pipeline_code", "AutoencoderKL"]}, "only diffusers and transformers are trusted"),
        ({"vae": ["transformers", "AutoModel"]}, "leaves the class"),
        ({"custom_pipeline": "mine"}, "asks for code"),
        ({}, "no folder"),
    ],
)
def test_no_class_is_taken_from_a_file_s_word(snapshot: Path, how: dict[str, Any], said: str) -> None:
    index = snapshot / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), **how}))
    with pytest.raises(ModelError, match=said):
        PipelineFamily().inspect(ModelEntry("tiny", "diffusers", "Tiny", snapshot, ("paint",)))


def test_a_snapshot_with_a_program_in_it_is_refused(snapshot: Path) -> None:
    (snapshot / "vae").mkdir()
    (snapshot / "vae" / "modeling.py").write_text("raise SystemExit")
    with pytest.raises(ModelError, match=r"carries a program \(vae/modeling\.py\)"):
        PipelineFamily().inspect(ModelEntry("tiny", "diffusers", "Tiny", snapshot, ("paint",)))
