"""The owner's list: written whole, by one writer at a time, read by all."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
from tests.library.conftest import LORA, SD1, write

from gesso.errors import ModelError
from gesso.library import Layouts, ModelList
from gesso.library.folders import scan
from gesso.library.listing import name_for
from gesso.manifest import ModelEntry


def entry(name: str, **more: object) -> ModelEntry:
    return ModelEntry(name, "stable-diffusion", name.upper(), Path("/models") / name, ("denoise",), **more)  # type: ignore[arg-type]


def add(path: Path, numbers: range) -> None:
    for number in numbers:
        ModelList(path).put([entry(f"m{number}")])


def test_what_is_put_is_read_and_what_is_dropped_is_gone(tmp_path: Path) -> None:
    listed = ModelList(tmp_path / "deep/models.json")
    assert listed.read() == ()
    assert listed.stamp() is None
    listed.put([entry("a", kind="lora", layout="lora-sd1"), entry("b", defaults={"steps": 4}, limits={"largest": 64})])
    listed.put([entry("a", licence="MIT")])
    read = listed.read()
    assert read == (entry("a", licence="MIT"), entry("b", defaults={"steps": 4}, limits={"largest": 64}))
    assert listed.named("B") == read[1]
    listed.drop(["b"])
    assert listed.named("b") is None


def test_a_bare_list_of_models_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text(json.dumps([{"name": "a", "family": "f"}]))
    assert ModelList(path).read()[0].title == "a"


@pytest.mark.parametrize("content", ["{", '{"schema": 9}', '[{"name": "a"}]', "3", '{"schema": 1, "models": 3}'])
def test_a_broken_list_names_itself_and_the_fix(tmp_path: Path, content: str) -> None:
    path = tmp_path / "models.json"
    path.write_text(content)
    with pytest.raises(ModelError, match=r"models\.json cannot be read") as caught:
        ModelList(path).read()
    assert "gesso models add" in str(caught.value.hint)
    with pytest.raises(ModelError):
        ModelList(path).put([entry("a")])
    assert path.read_text() == content


def test_writers_in_several_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add, args=(path, range(n * 20, n * 20 + 20))) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert {m.name for m in ModelList(path).read()} == {f"m{n}" for n in range(60)}


def test_a_model_that_no_family_ran_is_run_by_the_one_that_its_layout_names_now(tmp_path: Path) -> None:
    listed = ModelList(tmp_path / "models.json")
    listed.put([ModelEntry("old", "", "Old", Path("/old"), (), layout="sd")])
    assert listed.read()[0].family == "stable-diffusion"
    assert "denoise" in listed.read()[0].capabilities


def test_names_are_made_of_file_names() -> None:
    assert name_for("DreamShaper XL (v2)", ()) == "dreamshaper-xl-v2"
    assert name_for("a", ["a", "a-2"]) == "a-3"
    assert name_for("???", ()) == "model"


@pytest.mark.parametrize(
    ("tool", "checkpoints", "loras"),
    [
        ("ComfyUI", "models/checkpoints", "models/loras"),
        ("AUTOMATIC1111 or Forge", "models/Stable-diffusion/mine", "models/Lora"),
        ("krita-ai-diffusion", "ComfyUI/models/checkpoints", "ComfyUI/models/loras"),
        ("InvokeAI", "models/sd-1/main", "models/sd-1/lora"),
    ],
)
def test_folders_of_the_peers_are_known(tmp_path: Path, layouts: Layouts, tool: str, checkpoints: str, loras: str) -> None:
    write(tmp_path / checkpoints / "a.safetensors", SD1)
    write(tmp_path / loras / "b.safetensors", LORA)
    write(tmp_path / "models/ESRGAN/c.safetensors", {"odd": ("F32", (1,))})
    write(tmp_path / "models/nowhere/d.safetensors", {"odd": ("F32", (1,))})
    (tmp_path / checkpoints / "e.safetensors").write_bytes(b"\x80\x04\x95")
    (tmp_path / checkpoints / "f.ckpt").write_bytes(b"PK\x03\x04")
    (tmp_path / "databases").mkdir()
    if tool == "InvokeAI":
        (tmp_path / "databases/invokeai.db").touch()
    (tmp_path / "models/again").symlink_to(tmp_path / "models")
    found = scan(tmp_path, layouts)
    assert found.tool == tool
    assert {(f.path.name, f.kind) for f in found.found} == {
        ("a.safetensors", "checkpoint"), ("b.safetensors", "lora"), ("c.safetensors", "upscaler"),
    }  # fmt: skip
    assert {p.path.name for p in found.passed} == {"d.safetensors", "e.safetensors", "f.ckpt"}
    assert all(p.reason.endswith(".") for p in found.passed)


def test_a_folder_without_end_is_refused(tmp_path: Path, layouts: Layouts, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(12):
        (tmp_path / f"{n}.txt").touch()
    monkeypatch.setattr("gesso.library.folders._MOST", 10)
    with pytest.raises(ModelError, match="more than 10 files"):
        scan(tmp_path, layouts)
