"""Finds models in the folders of the tools that artists have already, by where those tools put them. It copies and moves nothing.

A file's own header decides what it is; the folder is asked only where the header leaves it open, and to know a tool's folder at sight.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gesso.errors import ModelError
from gesso.library.recognition import Layouts
from gesso.library.snapshot import INDEX
from gesso.library.survey import PICKLED, Found, examine

TOOLS: Mapping[str, tuple[str, ...]] = {
    "ComfyUI": ("models/checkpoints", "models/loras"),
    "AUTOMATIC1111 or Forge": ("models/Stable-diffusion",),
    "krita-ai-diffusion": ("ComfyUI/models/checkpoints",),
    "InvokeAI": ("databases/invokeai.db",),
    "a Hugging Face cache": ("hub/version.txt",),
}
"""By what lies in it, whose folder it is."""

KINDS_BY_FOLDER: Mapping[str, str] = {
    "checkpoints": "checkpoint", "stable-diffusion": "checkpoint", "main": "checkpoint",
    "diffusion_models": "denoiser", "unet": "denoiser",
    "vae": "vae", "vae_approx": "taesd", "vae-approx": "taesd",
    "loras": "lora", "lora": "lora", "lycoris": "lora",
    "controlnet": "controlnet", "control_net": "controlnet", "t2i_adapter": "t2i_adapter",
    "ipadapter": "ip_adapter", "ip_adapter": "ip_adapter",
    "embeddings": "embedding", "embedding": "embedding", "textual_inversion": "embedding",
    "upscale_models": "upscaler", "esrgan": "upscaler", "realesrgan": "upscaler", "swinir": "upscaler",
    "clip": "text_encoder", "text_encoders": "text_encoder", "text_encoder": "text_encoder",
    "clip_vision": "image_encoder", "image_encoder": "image_encoder",
}  # fmt: skip
"""What a folder of this name holds in ComfyUI, AUTOMATIC1111, Forge, InvokeAI and krita-ai-diffusion; case does not count."""

_IGNORED = frozenset(
    {"configs", "custom_nodes", "output", "outputs", "input", "temp", "node_modules", "venv", "site-packages", "__pycache__"}
)
_DEEPEST = 8
_MOST = 20_000


@dataclass(frozen=True)
class Passed:
    """A file that looks like a model and was not taken, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Scan:
    """What a folder holds. ``tool``: whose folder it seems to be."""

    found: tuple[Found, ...]
    passed: tuple[Passed, ...]
    tool: str = ""


def is_model(path: Path) -> bool:
    """Whether this is one model, and not a folder of them."""
    return path.is_file() or any((path / name).is_file() for name in (INDEX, "config.json", "adapter_config.json"))


def scan(folder: Path, layouts: Layouts) -> Scan:
    """Every model below a folder; links are followed once, hidden folders and those of programs are left out."""
    found: list[Found] = []
    passed: list[Passed] = []
    for path in _candidates(folder):
        try:
            seen = examine(path, layouts)
        except ModelError as fault:
            passed.append(Passed(path, fault.message))
            continue
        kind = seen.kind or kind_of_folder(path, folder)
        if kind:
            found.append(Found(**{**vars(seen), "kind": kind}))
        else:
            passed.append(Passed(path, f"{path} is sound, but no table of Gesso says what model it is."))
    return Scan(tuple(found), tuple(passed), tool_of(folder))


def tool_of(folder: Path) -> str:
    """Whose folder this is, judged by its neighbours; also where its inner `models` folder was named."""
    places = (folder, folder.parent) if folder.name.casefold() == "models" else (folder,)
    return next((tool for tool, marks in TOOLS.items() for place in places if any((place / mark).exists() for mark in marks)), "")


def kind_of_folder(path: Path, top: Path) -> str:
    """What the nearest folder of a known name says of a file."""
    for parent in path.parents:
        if kind := KINDS_BY_FOLDER.get(parent.name.casefold()):
            return kind
        if parent == top:
            break
    return ""


def _candidates(folder: Path) -> Iterator[Path]:
    """Weight files, and directories that are one model, which are not looked into."""
    seen: set[tuple[int, int]] = set()
    count = 0
    for here, inner, names in os.walk(folder, followlinks=True):
        place = Path(here)
        status = place.stat()
        if (status.st_dev, status.st_ino) in seen or len(place.relative_to(folder).parts) > _DEEPEST:
            inner.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if place != folder and is_model(place):
            inner.clear()
            yield place
            continue
        inner[:] = sorted(name for name in inner if not name.startswith(".") and name.casefold() not in _IGNORED)
        for name in sorted(names):
            count += 1
            if count > _MOST:
                raise ModelError(f"{folder} holds more than {_MOST} files.", field="path", hint="Name the folder of the models themselves.")
            if Path(name).suffix.lower() in (".safetensors", *PICKLED):
                yield place / name
