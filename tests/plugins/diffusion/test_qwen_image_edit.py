"""Qwen-Image-Edit sees the picture in two ways, with its words and as tokens, and gives the same latents as diffusers' own pipelines."""

from __future__ import annotations

import importlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.plugins.diffusion import transformers as tiny
from tests.plugins.diffusion.flows import diffusers_pipeline, noise, ours, theirs
from tests.plugins.diffusion.oracles import SIDE, apart, picture

from gesso.engine import EncodeText, ModelRef
from gesso.errors import InvalidRequest
from gesso.library import examine, read_layouts
from gesso.manifest import first_party
from gesso.media import images, png
from gesso.model import Shown
from gesso_plugins.diffusion import qwen_image, seeing
from gesso_plugins.diffusion.flux import packed, unpacked

pytestmark = pytest.mark.families
EDIT, PLUS = "QwenImageEditPipeline", "QwenImageEditPlusPipeline"
MODULES = {EDIT: "pipeline_qwenimage_edit", PLUS: "pipeline_qwenimage_edit_plus"}


class Processor:
    """What transformers' own processor does with one message and one picture; that one needs torchvision."""

    def __init__(self, tokenizer: Any) -> None:
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        self._tokenizer, self._eyes = tokenizer, Qwen2VLImageProcessorPil()

    def __call__(self, text: list[str], images: Any, padding: bool, return_tensors: str) -> Any:
        found = self._eyes(images=images, return_tensors=return_tensors)
        places = int(found["image_grid_thw"].prod()) // 4
        told = self._tokenizer([text[0].replace("<|image_pad|>", "<|image_pad|>" * places)], padding=padding, return_tensors=return_tensors)
        found.update(told)
        return found


def small(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are shown at this test's size, in both."""
    module = importlib.import_module(f"diffusers.pipelines.qwenimage.{MODULES[kind]}")
    found = (SIDE, SIDE, None) if kind == EDIT else (SIDE, SIDE)
    monkeypatch.setattr(module, "calculate_dimensions", lambda area, ratio: found)
    monkeypatch.setitem(qwen_image.EDITORS, kind, replace(qwen_image.EDITORS[kind], pixels=SIDE * SIDE))


def hearing(pipeline: Any) -> Any:
    """The pipeline of diffusers with a processor, and told which tokens are the picture's, which it leaves out (its issue 14194)."""
    pipeline.processor = Processor(pipeline.tokenizer)
    encoder = pipeline.text_encoder
    forward = encoder.forward

    def told(input_ids: torch.Tensor, **inputs: Any) -> Any:
        types = (input_ids == encoder.config.image_token_id).int()
        return forward(input_ids=input_ids, mm_token_type_ids=types, **inputs)

    encoder.forward = told
    return pipeline


def heard(studio: Any, ref: ModelRef, words: str, *patches: Shown) -> Any:
    """The states of words with a picture."""

    def job() -> Any:
        return (yield EncodeText(ref, (words,), patches))

    return studio.run(job())[0].tokens


@pytest.mark.parametrize("kind", [EDIT, PLUS])
def test_latents_equal_those_of_diffusers(studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Fails without the tokens of the reference, or with them in the places of the picture."""
    folder = tiny.qwen_image(tmp_path, kind)
    small(kind, monkeypatch)
    name, data = picture()
    pipeline = hearing(diffusers_pipeline(kind, folder, processor=None))
    wanted, sigmas = theirs(pipeline, latents=packed(noise()), image=Image.open(io.BytesIO(data)), true_cfg_scale=1.0)
    found = ours(studio, folder, "qwen-image", sigmas, {name: data}, image={"sha256": name})
    assert apart(found, unpacked(wanted, SIDE // 2, SIDE // 2)) < 1e-4
    other, content = picture(seed=4)
    assert apart(found, ours(studio, folder, "qwen-image", sigmas, {other: content}, image={"sha256": other})) > 5e-4


@pytest.mark.parametrize("kind", [EDIT, PLUS])
def test_words_equal_those_of_diffusers(studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Fails without the rows and columns of the picture in the language model, and with the template of the other kind."""
    folder = tiny.qwen_image(tmp_path, kind)
    data = picture(side=96)[1]
    pipeline = hearing(diffusers_pipeline(kind, folder, processor=None))
    monkeypatch.setitem(qwen_image.EDITORS, kind, replace(qwen_image.EDITORS[kind], pixels=96 * 64))
    shown = Image.open(io.BytesIO(data)).resize((64, 96))
    wanted, _ = pipeline.encode_prompt("make it snow", image=shown)
    studio.add("tiny", folder, "qwen-image")
    ref = ModelRef("tiny", studio.context().model("tiny").digest)
    with torch.no_grad():
        found = heard(studio, ref, "make it snow", Shown("shown", images.to_planes(png.write(np.asarray(shown), {}), 64, 96)))
    assert apart(found, wanted) < 1e-4


def test_words_are_heard_anew_with_each_picture_and_never_without(studio: Any, tmp_path: Path) -> None:
    """Fails where a picture stays after its job, or is not part of what a cached embedding goes by."""
    studio.add("tiny", tiny.qwen_image(tmp_path, PLUS), "qwen-image")
    card = studio.context().model("tiny")
    found = examine(card.path, read_layouts(first_party()))
    assert found.layout is not None
    assert (found.title, found.family, set(found.layout.capabilities)) == ("Qwen-Image-Edit", "qwen-image", card.capabilities)
    assert card.capabilities >= {"instruct", "see_image"}
    ref = ModelRef("tiny", card.digest)

    dark, light = (Shown(name, torch.full((1, 3, 64, 32), value)) for name, value in (("dark", 0.1), ("light", 0.9)))
    first = heard(studio, ref, "make it snow", dark)
    assert not torch.equal(first, heard(studio, ref, "make it snow", light))
    assert torch.equal(first, heard(studio, ref, "make it snow", dark))
    for words, patches, said in (
        ("make it snow", (), "was given none"),
        ("a <|image_pad|>", (dark,), "stands for the picture"),
        ("a" * 1025, (dark,), "this model hears 1024"),
    ):
        with pytest.raises(InvalidRequest, match=said.replace("|", r"\|")):
            heard(studio, ref, words, *patches)


def test_a_picture_keeps_its_proportions() -> None:
    assert seeing.shown_size(1024, 1024, 1024 * 1024) == (1024, 1024)
    assert seeing.shown_size(2000, 1000, 384 * 384) == (544, 256)
    assert seeing.shown_size(8192, 16, 384 * 384)[1] == 32


@pytest.mark.parametrize("operation", ["generate", "instruct"])
def test_operations_run_whole_and_ask_for_a_picture(studio: Any, tmp_path: Path, operation: str) -> None:
    """Fails where the negative prompt is heard without the picture, or a request without one is not refused in a sentence."""
    studio.add("tiny", tiny.qwen_image(tmp_path, PLUS), "qwen-image")
    able = ("instruct", "see_image")
    models = studio.registry.models
    studio.registry.models = tuple(replace(m, capabilities=(*m.capabilities, *able)) if m.name == "tiny" else m for m in models)
    name, data = picture(side=64)
    asked: dict[str, Any] = {"prompt": "make it snow", "model": "tiny", "steps": 2, "seed": 1, "guidance": 4.0}
    if operation == "generate":
        asked |= {"width": 64, "height": 64, "negative": "rain"}
    made = studio.make(operation, {**asked, "image": {"sha256": name}}, {name: data})
    assert [output.pixels.shape for output in made.outputs] == [(64, 64, 3)]
    assert made.warnings == []
    with pytest.raises(InvalidRequest) as caught:
        studio.make(operation, asked)
    assert caught.value.field == "image"
