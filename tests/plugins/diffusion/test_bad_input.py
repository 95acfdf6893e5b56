"""What an artist's disk and requests get wrong, through the command line and a real daemon: each is one sentence with its fix and a stable
code, and the models that are sound stay usable.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.conftest import end_all, start_daemon, stop_daemon
from tests.plugins.diffusion import loras
from tests.plugins.diffusion.test_controlnet import build_controlnet
from tests.plugins.diffusion.unets import build_sd

from gesso.cli import main
from gesso.cli.models import model_list

pytestmark = [pytest.mark.families, pytest.mark.timeout(600)]
UNET = "unet/diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class Desk:
    """An artist's models below ``folder``, a daemon, and the command line in this process."""

    folder: Path

    def said(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
        """Run `gesso ... --json`; ``{folder}`` in a word is the folder."""
        code = main([*(word.replace("{folder}", str(self.folder)) for word in words), "--json"])
        return code, json.loads(capsys.readouterr().out)

    def copy(self, name: str) -> Path:
        """Another copy of the sound model."""
        return Path(shutil.copytree(self.folder / "base/model", self.folder / name))


def _bomb(path: Path) -> None:
    header = b'{"__metadata__":{"a":"' + b"x" * (17 << 20) + b'"}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _write_files(desk: Desk) -> None:
    """Two bases, a LoRA and a ControlNet for each, pictures, and models with one thing wrong."""
    import diffusers

    base = build_sd(desk.folder / "base")
    wide = build_sd(desk.folder / "wide", block_out_channels=(64, 128))
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(wide, local_files_only=True, safety_checker=None)
    loras.write_diffusers(loras.factors(pipeline, 1), desk.folder / "lora.safetensors")
    shutil.copy(base / UNET, desk.folder / "cut.safetensors")
    build_controlnet(wide, desk.folder / "control")
    _cut(desk.folder / "cut.safetensors")
    _bomb(desk.folder / "bomb.safetensors")
    _cut(desk.copy("cut") / UNET)
    _bomb(desk.copy("bomb") / UNET)
    shutil.rmtree(desk.copy("deaf") / "text_encoder")
    for name, size in (("small", (32, 32)), ("larger", (64, 64)), ("huge", (8001, 5000))):
        Image.new("1", size).convert("L" if name == "larger" else "1").save(desk.folder / f"{name}.png")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The models that go bad after they were listed are on the list, and so is one that the owner wrote there under another family."""
    home, before = Path(tempfile.mkdtemp(prefix="gesso-", dir="/tmp")), os.environ["GESSO_HOME"]
    os.environ["GESSO_HOME"] = str(home)
    desk = Desk(tmp_path_factory.mktemp("desk"))
    _write_files(desk)
    wordless, halved, voiceless = (desk.copy(name) for name in ("wordless", "halved", "voiceless"))
    named = {"base": desk.folder / "base/model", "wordless": wordless, "halved": halved, "voiceless": voiceless}
    for name, path in {**named, "lora": desk.folder / "lora.safetensors", "control": desk.folder / "control"}.items():
        assert main(["models", "add", str(path), "--name", name]) == 0
    entry = model_list().named("base")
    assert entry is not None
    model_list().put([replace(entry, name="mistaken", family="flux"), replace(entry, name="invented", family="fluxx")])
    shutil.rmtree(wordless / "tokenizer")
    _cut(halved / UNET)
    shutil.rmtree(voiceless / "text_encoder")
    daemon = start_daemon(home, patience=60)
    yield desk
    stop_daemon(daemon)
    end_all(home)
    os.environ["GESSO_HOME"] = before
    shutil.rmtree(home, ignore_errors=True)


ADDED = {
    "missing text encoder": (("{folder}/deaf",), "model", "lacks its text encoder", "again"),
    "truncated directory": (("{folder}/cut",), "model", "cut short", "again"),
    "truncated file": (("{folder}/cut.safetensors",), "model", "cut short", "again"),
    "header bomb in a directory": (("{folder}/bomb",), "model", "more than 16 MiB", "again"),
    "header bomb": (("{folder}/bomb.safetensors",), "model", "more than 16 MiB", "again"),
    "wrong family": (("{folder}/base/model", "--family", "flux"), "invalid", "runs, not 'flux'", "Leave --family out"),
    "another kind's family": (("{folder}/lora.safetensors", "--family", "flux"), "invalid", "'lora' runs", "Leave --family out"),
    "unknown family": (("{folder}/base/model", "--family", "fluxx"), "invalid", "no family 'fluxx'", "flux"),
}
EDIT = ("edit", "stone", "--image", "{folder}/small.png", "--mask", "{folder}/larger.png", "--model", "base")
MADE = ("generate", "stone", "--seed", "1", "--size", "32", "--steps", "1", "--guidance", "1", "-o", "{folder}/", "--force", "--model")
ASKED = {
    "wrong family": ((*MADE, "mistaken"), "model", "the family 'flux' runs", "under its own"),
    "unknown family": ((*MADE, "invented"), "invalid", "no model family called 'fluxx'", "flux"),
    "missing tokenizer": ((*MADE, "wordless"), "model", "no tokenizer.json", "Put the tokenizer.json"),
    "truncated since": ((*MADE, "halved"), "model", "cut short", "again"),
    "text encoder gone": ((*MADE, "voiceless"), "model", "text_encoder", "again"),
    "LoRA of another base": ((*MADE, "base", "--lora", "lora=1"), "invalid", "made for another base than 'base'", "Leave the LoRA out"),
    "a model as a LoRA": ((*MADE, "base", "--lora", "base=1"), "invalid", "cannot do 'lora'", "These can: lora"),
    "ControlNet of another size": (
        (*MADE, "base", "--control", "control={folder}/small.png"), "invalid", "'control' was made for another base", "Leave it out",
    ),
    "mask larger than the image": (EDIT, "invalid", "mask has 64 x 64 pixels, and the image 32 x 32", "as large as the image"),
    "over 40 megapixels": ((*MADE, "base", "--image", "{folder}/huge.png"), "invalid", "8001 x 5000", "smaller"),
}  # fmt: skip


def _is_one_sentence_with_its_fix(told: Any, code: str, said: str, fix: str) -> None:
    error = told["error"]
    assert error["code"] == code, error
    assert said in error["message"], error
    assert fix in f"{error['message']} {error.get('hint')}", error
    assert "Traceback" not in error["message"]
    assert "\n" not in error["message"]
    assert error["message"].endswith((".", "?")), error


@pytest.mark.parametrize("case", ADDED)
def test_what_is_wrong_with_a_file_is_said_before_it_is_on_the_list(desk: Desk, capsys: pytest.CaptureFixture[str], case: str) -> None:
    """Fails without the check of ``--family``, which took any word and left the fault to the first request."""
    words, code, said, fix = ADDED[case]
    exit_code, told = desk.said(capsys, "models", "add", *words, "--name", "bad")
    assert exit_code > 0, told
    _is_one_sentence_with_its_fix(told, code, said, fix)
    assert model_list().named("bad") is None


@pytest.mark.parametrize("case", ASKED)
def test_what_is_wrong_with_a_request_is_said_and_how_it_is_mended(desk: Desk, capsys: pytest.CaptureFixture[str], case: str) -> None:
    """Fails without the hint that `adapter` hands on: which LoRAs there are."""
    words, code, said, fix = ASKED[case]
    exit_code, told = desk.said(capsys, *words)
    assert exit_code > 0, told
    _is_one_sentence_with_its_fix(told, code, said, fix)


def test_the_sound_models_stay_usable(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    listed = {model["name"] for model in desk.said(capsys, "models", "list")[1]["models"]}
    assert listed >= {"base", "wordless", "halved", "voiceless", "mistaken", "lora", "control"}
    for name in ("halved", "mistaken"):
        desk.said(capsys, *MADE, name)
    code, told = desk.said(capsys, *MADE, "base")
    assert code == 0, told
