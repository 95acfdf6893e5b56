"""A corpus of hostile model files: each is refused in one sentence before anything is opened, nothing of it runs, the rest stays usable."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.library.conftest import SD1, write, write_raw

from gesso.errors import GessoError, ModelError
from gesso.library import Layouts, examine
from gesso.library.folders import scan
from gesso.manifest import ModelEntry, first_party
from gesso.plugin import Registry, build_plugins
from gesso.worker.models import WorkerCatalogue

Maker = Callable[[Path, Path], Path]
ONE = {"a": ("F32", (2,))}


class Evil:
    """Leaves the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def file(name: str, content: Callable[[Path], bytes]) -> Maker:
    def make(folder: Path, canary: Path) -> Path:
        path = folder / name
        path.write_bytes(content(canary))
        return path

    return make


def pickled(name: str, protocol: int) -> Maker:
    return file(name, lambda canary: pickle.dumps(Evil(canary), protocol))


def zipped(canary: Path) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil(canary)))
    return raw.getvalue()


def raw(header: object, data: bytes = b"", length: int | None = None) -> Maker:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return lambda folder, _: write_raw(folder / "a.safetensors", text, data, length)


def odd(**changes: Any) -> Maker:
    """One tensor of 8 bytes, described otherwise."""
    return raw({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}, bytes(8))


def two(first: list[int], second: list[int], size: int) -> Maker:
    entries = {
        name: {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]} for name, (begin, end) in (("a", first), ("b", second))
    }
    return raw(entries, bytes(size))


def pipeline(index: dict[str, Any] | None = None, then: Callable[[Path, Path], object] = lambda root, canary: None) -> Maker:
    """A directory as diffusers writes it, with something wrong."""

    def make(folder: Path, canary: Path) -> Path:
        root = folder / "model"
        write(root / "unet/diffusion_pytorch_model.safetensors", ONE)
        (root / "unet/config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
        good = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
        (root / "model_index.json").write_text(json.dumps({**good, **(index or {})}))
        then(root, canary)
        return root

    return make


def code(place: str) -> Maker:
    def put(root: Path, canary: Path) -> None:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(f"open({str(canary)!r}, 'w')\n")

    return pipeline(then=put)


def config(place: str, **values: object) -> Maker:
    return pipeline(then=lambda root, _: (root / place).write_text(json.dumps(values)))


def only_pickle(root: Path, canary: Path) -> None:
    (root / "unet/diffusion_pytorch_model.safetensors").unlink()
    (root / "unet/diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Evil(canary)))


def inside_pickle(root: Path, canary: Path) -> None:
    (root / "unet/diffusion_pytorch_model.safetensors").write_bytes(pickle.dumps(Evil(canary)))


def shards(names: list[str]) -> Maker:
    listed = json.dumps({"weight_map": {str(n): name for n, name in enumerate(names)}})
    return pipeline(then=lambda root, _: (root / "unet/x.safetensors.index.json").write_text(listed))


def cut(folder: Path, _: Path) -> Path:
    path = write(folder / "a.safetensors", SD1)
    path.write_bytes(path.read_bytes()[:-1])
    return path


def longer(folder: Path, _: Path) -> Path:
    path = write(folder / "a.safetensors", SD1)
    path.write_bytes(path.read_bytes() + b"\0")
    return path


def dangling(folder: Path, _: Path) -> Path:
    (folder / "a.safetensors").symlink_to("/nowhere/at/all.safetensors")
    return folder / "a.safetensors"


def pipe(folder: Path, _: Path) -> Path:
    os.mkfifo(folder / "a.safetensors")
    return folder / "a.safetensors"


def many(folder: Path, _: Path) -> Path:
    return write(folder / "a.safetensors", {f"t{n}": ("U8", (0,)) for n in range(20_001)})


CORPUS: dict[str, Maker] = {
    **{f"pickle of protocol {p} under the right name": pickled("a.safetensors", p) for p in range(6)},
    **{f"pickle as {suffix}": pickled(f"a{suffix}", 4) for suffix in (".ckpt", ".pt", ".pth", ".bin", ".pkl")},
    "zip of torch under the right name": file("a.safetensors", zipped),
    "zip of torch as .ckpt": file("a.ckpt", zipped),
    "capital letters": pickled("A.SafeTensors", 4),
    "nothing": file("a.safetensors", lambda _: b""),
    "three bytes": file("a.safetensors", lambda _: b"\1\2\3"),
    "web page": file("a.safetensors", lambda _: b"<!DOCTYPE html><html>" + bytes(100)),
    "pointer of git lfs": file("a.safetensors", lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    "gguf": file("a.safetensors", lambda _: b"GGUF\3\0\0\0" + bytes(64)),
    "hdf5": file("a.safetensors", lambda _: b"\x89HDF\r\n\x1a\n" + bytes(64)),
    "length of 2^63": raw(b"{}", length=2**63),
    "length of 2^64-1": raw(b"{}", length=2**64 - 1),
    "length of 0": raw(b"{}", length=0),
    "length beyond the file": raw(b"{}", length=3),
    "header of 17 MiB": raw(b'{"__metadata__":{"a":"' + b"x" * (17 << 20) + b'"}}'),
    "20 001 tensors": many,
    "depth of 100 000": raw(b"{" + b'"a":[' * 100_000),
    "no json": raw(b"{not json}"),
    "not utf-8": raw(b'{"\xff\xfe":1}'),
    "a list": raw(b"[1]"),
    "null for a tensor": raw({"a": None}),
    "metadata that is no text": raw({"__metadata__": {"a": {"b": 1}}}),
    "metadata that is a list": raw({"__metadata__": [1]}),
    "unknown dtype": odd(dtype="X32"),
    "dtype that is a list": odd(dtype=["F32"]),
    "negative shape": odd(shape=[-2]),
    "shape of floats": odd(shape=[2.0]),
    "shape of booleans": odd(shape=[True, 2]),
    "shape that overflows": odd(shape=[2**40, 2**40]),
    "seventeen dimensions": odd(shape=[2] + [1] * 16),
    "offsets turned round": odd(data_offsets=[8, 0]),
    "one offset": odd(data_offsets=[0]),
    "fewer bytes than the shape": odd(data_offsets=[0, 4]),
    "tensors that overlap": two([0, 6], [4, 8], 8),
    "a gap between tensors": two([0, 2], [4, 8], 8),
    "cut short": cut,
    "something behind the end": longer,
    "link to nothing": dangling,
    "a pipe": pipe,
    "program beside the index": code("pipeline.py"),
    "program in a component": code("unet/modeling.py"),
    "compiled program": code("unet/__pycache__/x.cpython-311.pyc"),
    "library": code("vae/evil.so"),
    "class that is a list": pipeline({"_class_name": ["pipeline", "Evil"]}),
    "class with dots": pipeline({"_class_name": "os.system"}),
    "class that is missing": pipeline({"_class_name": None}),
    "component of os": pipeline({"evil": ["os", "system"]}),
    "component of the snapshot": pipeline({"unet": ["diffusers_modules.local.evil", "Evil"]}),
    "component by a path": pipeline({"unet": ["../../evil", "Evil"]}),
    "auto_map": config("unet/config.json", _class_name="UNet2DConditionModel", auto_map={"AutoModel": "evil.Evil"}),
    "custom pipeline": pipeline({"custom_pipeline": "evil"}),
    "remote code": pipeline({"trust_remote_code": True}),
    "only a pickle inside": pipeline(then=only_pickle),
    "a renamed pickle inside": pipeline(then=inside_pickle),
    "shard outside": shards(["../../../etc/passwd.safetensors"]),
    "shard that is a pickle": shards(["a.bin"]),
    "missing text encoder": pipeline({"text_encoder": ["transformers", "CLIPTextModel"]}),
    "index of two megabytes": pipeline(then=lambda root, _: (root / "model_index.json").write_text(" " * 2_000_000)),
    "index that is deep": pipeline(then=lambda root, _: (root / "model_index.json").write_text("[" * 100_000)),
}


@pytest.fixture(autouse=True)
def _unpickling_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for place in (torch, pickle):
        monkeypatch.setattr(place, "load", never)
    monkeypatch.setattr(pickle, "loads", never)
    monkeypatch.setattr(pickle, "Unpickler", never)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return build_plugins(first_party())


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 40


@pytest.mark.parametrize("name", CORPUS)
def test_it_is_refused_in_one_sentence_and_nothing_of_it_runs(tmp_path: Path, layouts: Layouts, registry: Registry, name: str) -> None:
    canary = tmp_path / "canary"
    folder = tmp_path / "models"
    folder.mkdir()
    path = CORPUS[name](folder, canary)
    with pytest.raises(ModelError) as caught:
        examine(path, layouts)
    sentence = caught.value.message
    assert sentence.endswith((".", ")."))
    assert "\n" not in sentence
    assert caught.value.hint or "larger than" in sentence or "lists no" in sentence or "names" in sentence
    entry = ModelEntry("evil", "stable-diffusion", "Evil", path, ("denoise",))
    registry.models = (*first_party().models, entry)
    catalogue = WorkerCatalogue(registry)
    with pytest.raises(GessoError):  # as a worker meets it, whatever the list says
        catalogue.card("evil")
    assert catalogue.card("starter").digest
    assert not canary.exists()


def test_the_others_stay_usable(tmp_path: Path, layouts: Layouts) -> None:
    canary = tmp_path / "canary"
    top = tmp_path / "models/checkpoints"
    for number, make in enumerate(CORPUS.values()):
        (top / str(number)).mkdir(parents=True)
        make(top / str(number), canary)
    write(top / "good.safetensors", SD1)
    found = scan(tmp_path, layouts)
    assert [seen.path.name for seen in found.found] == ["good.safetensors"]
    assert len(found.passed) >= len(CORPUS) - 2  # what is neither a file nor a directory is not even looked at
    assert not canary.exists()


def test_the_canary_sings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pickle._loads(pickle.dumps(Evil(tmp_path / "canary")))  # type: ignore[attr-defined]  # the corpus is loaded: unpickled, it would act
    assert (tmp_path / "canary").exists()
