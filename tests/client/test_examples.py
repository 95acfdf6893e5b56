"""The examples run as they stand, each in a process of its own, and are typed."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

from gesso.client import Client, Job, Result, ResultImage, events

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {
    "generate.py": ["cobblestone.png"],
    "generate_async.py": ["polished-oak-planks.png", "red-brick-wall.png", "rusty-iron-plate.png"],
}


def test_every_example_of_the_client_runs(home: Path, tmp_path: Path) -> None:
    for name, expected in EXAMPLES.items():
        folder = tmp_path / name
        folder.mkdir()
        command = [sys.executable, str(ROOT / "examples" / name), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        pictures = sorted(folder.iterdir())
        assert [path.name for path in pictures] == expected
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


def test_the_page_names_every_event_and_its_fields() -> None:
    page = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z]\w+)` \|(.*)\|$", page, flags=re.MULTILINE)
    documented = {name: re.findall(r"`(\w+)`", fields) for name, fields in rows if hasattr(events, name)}
    coded = {
        kind.__name__: [field.name for field in dataclasses.fields(kind)][2:]
        for kind in (
            events.Queued,
            events.Started,
            events.Progress,
            events.Preview,
            events.Log,
            events.Done,
            events.Failed,
            events.Cancelled,
        )
    }
    assert {name: documented[name] for name in coded} == coded


def test_the_page_names_what_clients_images_and_results_offer() -> None:
    page = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    offered = [name for kind in (Client, Job, Result, ResultImage) for name in vars(kind) if not name.startswith("_")]
    offered += [field.name for kind in (Result, ResultImage) for field in dataclasses.fields(kind)]
    assert [name for name in offered if not re.search(rf"[`. ]{name}[`(,]", page)] == []
