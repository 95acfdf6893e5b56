"""The examples run as they stand, each in a process of its own, and are typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gesso.client import Client

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {
    "generate.py": ["cobblestone.png"],
    "generate_async.py": ["polished-oak-planks.png", "red-brick-wall.png", "rusty-iron-plate.png"],
}


def test_every_example_is_run_here() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} >= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(home: Path, tmp_path: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), str(tmp_path)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    pictures = sorted(tmp_path.iterdir())
    assert [path.name for path in pictures] == EXAMPLES[name]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert str(pictures[-1]) in done.stdout
    with Client(start=False) as client:
        client.stop()


def test_examples_are_typed(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(tmp_path),
        *map(str, (ROOT / "examples" / name for name in EXAMPLES)),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout
