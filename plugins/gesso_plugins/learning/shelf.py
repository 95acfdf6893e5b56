"""Where LoRAs that were learned lie: files beside the owner's list of models, and their entries in it. Called on the thread pool."""

from __future__ import annotations

import json
from pathlib import Path

from gesso.errors import GessoError
from gesso.library import ModelList, examine, read_header, read_layouts
from gesso.library.listing import name_for
from gesso.manifest import ModelEntry, first_party
from gesso.training.files import write_atomically

FOLDER, FAMILY = "learned", "lora"


def shelve(models: Path, name: str, job: str, content: bytes) -> str:
    """Keep a LoRA; the name that it got. One of the same ``job`` is the same LoRA, kept by a worker that died before it could say so; one
    that is called so for any other reason stays, and the name gets a number.
    """
    known = ModelList(models)
    taken = {entry.name: entry for entry in (*first_party().models, *known.read())}
    place = models.parent / FOLDER
    mine = next((entry.name for entry in taken.values() if entry.path is not None and _job(entry.path, place) == job), None)
    name = mine or name_for(name, taken)
    path = place / f"{name}.safetensors"
    write_atomically(path, lambda temporary: _write(temporary, content))
    layout = examine(path, read_layouts(first_party())).layout
    known.put([ModelEntry(name, FAMILY, name, path, ("lora",), kind="lora", layout=layout.name if layout else "")])
    return name


def _job(path: Path, place: Path) -> str:
    """The job that made a file of ours."""
    if path.parent != place or not path.is_file():
        return ""
    try:
        return str(json.loads(read_header(path).metadata.get("gesso", "{}")).get("job", ""))
    except (GessoError, ValueError, AttributeError):
        return ""


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
