"""`gesso models pull` against a hub on the loopback: what is fetched, what never is, breaks, lies, refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.library.conftest import SD1, write
from tests.library.hub_server import COMMIT, Hub

from gesso.errors import ModelError
from gesso.library.hub import Part, Wish, chosen

pytestmark = pytest.mark.slow
MIB = 2**20


def content(tmp_path: Path, size: int = 5000) -> bytes:
    return write(tmp_path / "made.safetensors", {"w": ("U8", (size,))}).read_bytes()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    weights = content(tmp_path, 400_000)
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    pipeline = {
        "model_index.json": json.dumps(index).encode(),
        "README.md": b"---\nlicense: mit\n---\n",
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": weights,
        "unet/diffusion_pytorch_model.fp16.safetensors": weights[:-1] + b"\1",
        "unet/diffusion_pytorch_model.bin": b"\x80\x04" + bytes(5000),
        "pipeline.py": b"open('/tmp/canary', 'w')",
        "safety_checker/model.safetensors": weights,
        "whole.safetensors": weights,
    }
    big = {**SD1, "model.diffusion_model.big.weight": ("U8", (24 * MIB,))}
    large = write(tmp_path / "large.safetensors", big).read_bytes()
    single = write(tmp_path / "sd1.safetensors", SD1).read_bytes()
    running = Hub(
        {
            "ann/painter": pipeline,
            "ann/large": {"sd1.safetensors": large},
            "ann/one": {"sd1.safetensors": single, "README.md": b"x"},
            "ann/many": {"a.safetensors": single, "b.safetensors": single},
            "ann/pickled": {"model.ckpt": b"PK\x03\x04"},
            "ann/gated": {},
        },
        gated=frozenset({"ann/gated"}),
    )
    yield running
    running.close()


def start(home: Path, hub: Hub, *words: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    environment |= {"HF_ENDPOINT": hub.endpoint, "GESSO_HOME": str(home), "HF_HOME": str(home / "hf"), "NO_PROXY": "*"}
    command = [sys.executable, "-m", "gesso", "models", "pull", *words, "--json"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def pull(home: Path, hub: Hub, *words: str) -> dict[str, Any]:
    told, said = start(home, hub, *words).communicate(timeout=100)
    assert told, said
    return dict(json.loads(told))


def test_a_pipeline_comes_whole_and_nothing_else_does(home: Path, hub: Hub) -> None:
    told = pull(home, hub, "ann/painter")
    assert (told["revision"], told["name"], told["kind"]) == (COMMIT, "painter", "checkpoint")
    assert set(told["files"]) == {"model_index.json", "README.md", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"}
    here = {str(path.relative_to(told["path"])) for path in Path(told["path"]).rglob("*") if path.is_file()}
    assert here == {*told["files"], "pulled.json"}
    assert json.loads(Path(told["path"], "pulled.json").read_text())["revision"] == COMMIT
    listed = json.loads((home / "models/models.json").read_text())["models"]
    assert [(m["name"], m["licence"], m["family"]) for m in listed] == [("painter", "mit", "stable-diffusion")]
    again = pull(home, hub, "ann/painter")
    assert again["fetched_bytes"] == 0


def test_one_variant_one_file_one_revision(home: Path, hub: Hub) -> None:
    told = pull(home, hub, "ann/painter", "--variant", "fp16", "--revision", COMMIT, "--name", "half")
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in told["files"]
    assert "unet/diffusion_pytorch_model.safetensors" not in told["files"]
    told = pull(home, hub, "ann/many", "--file", "b.safetensors")
    assert Path(told["path"]).name == "b.safetensors"
    assert pull(home, hub, "ann/one")["path"].endswith("ann--one/sd1.safetensors")


def test_a_broken_connection_is_taken_up_where_it_broke(home: Path, hub: Hub) -> None:
    hub.break_after, hub.breaks = 21 * MIB, 1  # the hub's client takes 10 MiB at a time
    assert pull(home, hub, "ann/large")["fetched_bytes"] > 24 * MIB
    assert set(hub.ranges()) == {f"bytes={20 * MIB}-"}


def test_a_killed_download_is_taken_up_by_the_next(home: Path, hub: Hub) -> None:
    hub.break_after, hub.breaks = 11 * MIB, 1
    hub.refuse_after_break = True
    process = start(home, hub, "ann/large")
    deadline = time.monotonic() + 100
    while not [p for p in home.rglob("*.part") if p.stat().st_size >= 10 * MIB]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (part,) = home.rglob("*.part")
    held = part.stat().st_size
    hub.refuse_after_break = False
    hub.asked.clear()
    told = pull(home, hub, "ann/large")
    assert set(hub.ranges()) == {f"bytes={held}-"}
    assert told["fetched_bytes"] < 15 * MIB
    assert list(home.rglob("*.part")) == []


@pytest.mark.parametrize("name", ["unet/diffusion_pytorch_model.safetensors", "unet/config.json"])
def test_a_wrong_checksum_is_thrown_away(home: Path, hub: Hub, name: str) -> None:
    hub.lies = {name}
    error = pull(home, hub, "ann/painter")["error"]
    assert "another checksum" in error["message"]
    assert error["code"] == "model"
    assert not list((home / "models").rglob(f"{Path(name).name}*"))
    assert not (home / "models/models.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ann/nobody",), "shows no model 'ann/nobody'"),
        (("ann/gated",), "accept its terms"),
        (("ann/one", "--revision", "v9"), "no revision 'v9'"),
        (("ann/many",), "several models"),
        (("ann/one", "--file", "c.safetensors"), "no file 'c.safetensors'"),
        (("ann/pickled",), "no safetensors weights"),
        (("../../etc",), "neither a name"),
    ],
)
def test_what_cannot_be_is_one_sentence_with_the_fix(home: Path, hub: Hub, words: tuple[str, ...], said: str) -> None:
    error = pull(home, hub, *words)["error"]
    assert said in error["message"]
    assert error["hint"]


def test_a_hub_that_is_not_there_is_said(home: Path, hub: Hub) -> None:
    hub.close()
    assert "again" in pull(home, hub, "ann/one")["error"]["hint"]


@pytest.mark.parametrize(
    "name", ["../x.json", "/x.json", "a/../x.json", ".git/x.json", "a\\x.json", "x.py", "a/b/c/d.json", "x.bin", "onnx/model.json"]
)
def test_no_file_comes_from_outside_or_of_another_kind(name: str) -> None:
    good = Part("a.safetensors", 1, None, None)
    assert chosen([good, Part(name, 1, None, None)], Wish("ann/x")) == [good]


def test_shards_and_variants_are_told_apart() -> None:
    names = [
        "model_index.json", "t/config.json", "t/model.safetensors.index.json", "t/model-00001-of-00002.safetensors",
        "t/model-00002-of-00002.safetensors",
        "t/model.safetensors.index.fp16.json", "t/model.fp16-00001-of-00002.safetensors", "v/config.json", "v/only.fp16.safetensors",
    ]  # fmt: skip
    parts = [Part(name, 1, None, None) for name in names]
    plain = {part.name for part in chosen(parts, Wish("a/b"))}
    assert plain == set(names) - {"t/model.safetensors.index.fp16.json", "t/model.fp16-00001-of-00002.safetensors"}
    half = {part.name for part in chosen(parts, Wish("a/b", variant="fp16"))}
    assert "t/model-00001-of-00002.safetensors" not in half
    assert {"t/model.fp16-00001-of-00002.safetensors", "v/only.fp16.safetensors"} <= half
    with pytest.raises(ModelError, match="no safetensors"):
        chosen([Part("a.json", 1, None, None)], Wish("a/b"))
