"""`gesso models`: the list from a terminal, with a daemon that follows it."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.library.conftest import LORA, SD1, write

from gesso.cli import main
from gesso.client import Client
from gesso.errors import InvalidRequest

ROOT = Path(__file__).resolve().parents[2]
STARTER = ROOT / "plugins/gesso_plugins/starter/weights"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "models/checkpoints/Dream Shaper.safetensors", SD1, {"modelspec.license": "MIT"})
    write(tmp_path / "models/loras/detail.safetensors", LORA)
    (tmp_path / "models/loras/evil.safetensors").write_bytes(b"\x80\x04\x95")
    return tmp_path


def test_a_folder_is_taken_in_where_it_lies(home: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.rglob("*"))
    code, told = run(capsys, "models", "add", str(folder))
    assert code == 0
    assert [(m["name"], m["kind"], m["layout"], m["base"]) for m in told["added"]] == [
        ("dream-shaper", "checkpoint", "sd1", "sd1"),
        ("detail", "lora", "lora-sd1", "sd1"),
    ]
    assert [Path(p["path"]).name for p in told["passed"]] == ["evil.safetensors"]
    assert run(capsys, "models", "add", str(folder))[1]["added"] == told["added"]  # again: the same names
    listed = {m["name"]: m for m in run(capsys, "models", "list")[1]["models"]}
    shipped = {"procedural", "starter", "starter-preview", "dalle", "unclip", "vaegan", "clip", "maps", "style"}
    assert set(listed) == shipped | {"dream-shaper", "detail"}
    assert listed["detail"]["path"] == str(folder / "models/loras/detail.safetensors")
    assert [m["name"] for m in run(capsys, "models", "list", "--kind", "lora")[1]["models"]] == ["detail"]
    code, gone = run(capsys, "models", "remove", "dream shaper", "detail")
    assert (code, gone["removed"]) == (0, ["dream-shaper", "detail"])
    assert sorted(folder.rglob("*")) == before


def test_info_tells_what_the_files_say(home: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "models/loras/detail.safetensors"
    told = run(capsys, "models", "info", str(path), "--hash")[1]
    assert (told["kind"], told["base"], told["dtype"], told["runs"]) == ("lora", "sd1", "F16", "beside a checkpoint that it fits")
    assert (len(told["AutoV2"]), len(told["AutoV3"]), told["licence"]) == (10, 12, "not stated")
    told = run(capsys, "models", "info", str(folder / "models/checkpoints/Dream Shaper.safetensors"))[1]
    assert (told["licence"], told["prediction"]) == ("MIT", "epsilon")
    told = run(capsys, "models", "info", "starter")[1]
    assert (told["family"], told["runs"], told["prediction"]) == ("stable-diffusion", "Gesso's engine", "v_prediction")
    assert run(capsys, "models", "info", "procedural")[1]["runs"] == "Gesso's engine, without weights"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("info", "startr"), "no model 'startr'"),
        (("remove", "starter"), "is of gesso"),
        (("add", "/nowhere"), "nothing at /nowhere"),
        (("add", "{folder}/empty"), "no model in"),
        (("add", "{folder}/models/loras/evil.safetensors"), "pickle under another name"),
        (("add", "{folder}/models/loras/detail.safetensors", "--name", "starter"), "belongs to a model of gesso"),
        (("add", "{folder}", "--name", "all"), "for one model"),
        (("default", "nope"), "no model 'nope'"),
    ],
)
def test_every_refusal_is_a_sentence_with_a_fix(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    (folder / "empty").mkdir()
    code, told = run(capsys, "models", *(word.replace("{folder}", str(folder)) for word in words))
    assert code > 0
    assert said in told["error"]["message"]
    assert told["error"]["message"].endswith(".")
    assert told["error"]["hint"]


def test_near_names_are_offered(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "starter" in run(capsys, "models", "info", "startr")[1]["error"]["hint"]


def test_a_running_daemon_follows_the_list(home: Path, daemon: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]) -> None:
    with Client(start=False) as client:
        with pytest.raises(InvalidRequest, match="no model 'mine'"):
            client.submit("generate", prompt="x", model="mine")
        assert run(capsys, "models", "add", str(STARTER), "--name", "mine")[0] == 0
        assert run(capsys, "models", "default", "mine")[1] == {"default": "mine"}
        deadline = time.monotonic() + 60  # the daemon looks at settings twice a second
        while client.submit("generate", prompt="stone", seed=1, width=64, height=64).result().images[0].recipe["model"] != "mine":
            assert time.monotonic() < deadline
        assert "mine" in [model["name"] for model in client.status()["models"]]
        shown = {model["name"]: model["title"] for model in client.describe()["catalogues"]["models"]}
        assert shown["mine"] == "mine", "what hosts list"
        run(capsys, "models", "remove", "mine")
        with pytest.raises(InvalidRequest, match="no model 'mine'"):
            client.submit("generate", prompt="x", model="mine")
    assert run(capsys, "models", "default")[1] == {"default": None}
