"""Styles as files: what is exported can be imported again, and what cannot be a style is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gesso.cli.styles import read
from gesso.errors import UsageError

FROSTY = """
[frosted]
prompt = "{prompt}, covered in \\"frost\\""
negative = "summer"

[frosted.params]
steps = 7
sampler = "euler"

[plain]
title = "As it is"
"""


def gesso(home: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "GESSO_HOME": str(home)}
    return subprocess.run([sys.executable, "-m", "gesso", *words], cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_styles_go_out_and_come_in_again(home: Path, tmp_path: Path) -> None:
    (tmp_path / "frosty.toml").write_text(FROSTY)
    taken = gesso(home, tmp_path, "styles", "import", "frosty.toml", "--json")
    assert taken.returncode == 0, taken.stderr
    assert json.loads(taken.stdout)["provides"] == {"styles": ["frosty.frosted", "frosty.plain"]}
    assert "frosty.frosted" in gesso(home, tmp_path, "styles", "list").stdout
    assert gesso(home, tmp_path, "styles", "export", "frosty.frosted", "ink", "-o", "out.toml").returncode == 0
    written = tomllib.loads((tmp_path / "out.toml").read_text())
    assert written["frosted"] == {**tomllib.loads(FROSTY)["frosted"], "title": "Frosted"}
    assert gesso(home, tmp_path, "styles", "export", "-o", "out.toml").returncode == 1, "nothing is overwritten"
    assert gesso(home, tmp_path, "styles", "export", "-o", "all.json").returncode == 0
    assert len(read(tmp_path / "all.json")) == 13
    assert {style["name"]: style for style in read(tmp_path / "out.toml")}["ink"]["title"] == "Ink drawing"
    assert gesso(home, tmp_path, "styles", "export", "no_such", "-o", "x.toml").returncode == 2
    assert gesso(home, tmp_path, "styles", "export", "-o", "x.txt").returncode == 2


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "[x", "neither TOML"),
        ("a.json", "{", "neither TOML"),
        ("a.toml", "", "holds no styles"),
        ("a.json", "[]", "holds no styles"),
        ("a.toml", "x = 3", "'x' must be a table"),
        ("a.toml", "[x]\ncolour = 'red'", "'x' has the unknown field 'colour'"),
        ("a.toml", "[x]\nprompt = 'no place for words'", "needs {prompt} once"),
        ("a.toml", "[x]\nnegative = 3", "needs text as its negative"),
        ("a.toml", "[x]\nparams = { steps = [1] }", "numbers and texts"),
    ],
)
def test_what_cannot_be_a_style_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read(path)
    assert said in caught.value.message
    assert name in caught.value.message
