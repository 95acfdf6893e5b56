"""Reads a diffusers directory without trusting it: small JSON files, safetensors only, no code, no class but from the two libraries that
Gesso builds networks with. Nothing named by a file is looked up anywhere.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gesso.errors import ModelError
from gesso.library.header import AGAIN, SAFE_VERSION

INDEX = "model_index.json"
JSON_LIMIT = 1024 * 1024
LIBRARIES = frozenset({"diffusers", "transformers"})
NEVER_LOADED = frozenset({("stable_diffusion", "StableDiffusionSafetyChecker")})
"""Components that many old directories name and that no family opens."""
OF_PIPELINES = frozenset({("unclip", "UnCLIPTextProjModel")})
"""Networks that diffusers keeps among its pipelines, and names by these."""
PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth", "*.pkl")
_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_CODE = (".py", ".pyc", ".pyd", ".so", ".dll")
_MOST_FILES = 5000


def read_json(path: Path) -> dict[str, Any]:
    """An object from a small JSON file."""
    try:
        if path.stat().st_size > JSON_LIMIT:
            raise ModelError(f"{path} is larger than a configuration file may be ({JSON_LIMIT // 1024} KiB).")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as fault:
        raise ModelError(f"The file {path} is missing.", hint=AGAIN) from fault
    except OSError as fault:
        raise ModelError(f"{path} cannot be read: {fault.strerror}.") from fault
    except (ValueError, RecursionError) as fault:
        raise ModelError(f"{path} is not valid JSON.", hint=AGAIN) from fault
    if not isinstance(content, dict):
        raise ModelError(f"{path} does not hold a JSON object.")
    return content


def check_snapshot(root: Path) -> dict[str, Any]:
    """The index of a pipeline directory that carries no code and asks for none; ModelError says what speaks against it."""
    refuse_code(root)
    index = read_json(root / INDEX)
    class_name(root / INDEX, index)
    for name, component in components(index).items():
        library, kind = component
        if component not in NEVER_LOADED | OF_PIPELINES and library not in LIBRARIES:
            raise ModelError(
                f"{root / INDEX} takes its {name} ({kind!r}) from {library!r}; only {' and '.join(sorted(LIBRARIES))} are trusted.",
                hint="Use a model that needs no code of its own.",
            )
    for config in sorted(root.glob("*/*config.json")):
        _refuse_remote_code(config, read_json(config))
    _refuse_remote_code(root / INDEX, index)
    return index


def components(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The components that a pipeline's index names: (library, class) by name; those that it leaves out are left out."""
    found = {}
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list) or len(value) != 2 or value == [None, None]:
            continue
        if not all(isinstance(part, str) and re.fullmatch(r"[A-Za-z_][\w.]{0,99}", part) for part in value):
            raise ModelError(f"The index of the model gives {str(value)[:80]} as its {name[:40]!r}, which names no class.", hint=AGAIN)
        found[name] = (value[0], value[1])
    return found


def class_name(path: Path, config: Mapping[str, Any]) -> str:
    """The class that a configuration says it is for, as a word and nothing more."""
    name = config.get("_class_name")
    if not isinstance(name, str) or not _CLASS.fullmatch(name):
        raise ModelError(f"{path} gives {str(name)[:80]!r} as its _class_name, which names no class of diffusers.", hint=AGAIN)
    return name


def refuse_code(root: Path) -> None:
    """No directory with a program in it is a model of ours, whether anything would run it or not."""
    for number, path in enumerate(_files(root)):
        if path.suffix.lower() in _CODE:
            raise ModelError(
                f"{root} carries a program ({path.relative_to(root)}); Gesso runs no code that comes with a model and opens none of it.",
                hint="Use a model without code of its own, or remove that file if you know that it is not needed.",
            )
        if number > _MOST_FILES:
            raise ModelError(f"{root} holds more than {_MOST_FILES} files and is no model.", hint="Name the model's own folder.")


def _files(root: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        yield from (Path(folder, name) for name in names)


def _refuse_remote_code(path: Path, config: Mapping[str, Any]) -> None:
    for key in ("auto_map", "custom_pipeline", "trust_remote_code"):
        if config.get(key):
            raise ModelError(
                f"{path} asks for code of its own ({key}), which Gesso never runs.", hint="Use a model that needs no code of its own."
            )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of one component: the one file, its shards, or its only variant (fp16 and the like)."""
    if not folder.is_dir():
        raise ModelError(f"The model has no folder {folder}.", hint=AGAIN)
    found = sorted(folder.glob("*.safetensors"))
    indices = sorted(folder.glob("*.safetensors.index.json"))
    if indices:
        return _shards(indices[0])
    plain = [path for path in found if path.name in ("model.safetensors", "diffusion_pytorch_model.safetensors")]
    if plain:
        return plain[:1]
    if len(found) == 1:
        return found
    if found:
        raise ModelError(f"{folder} holds several variants ({', '.join(path.name for path in found)}); keep one.")
    if any(next(folder.glob(pattern), None) for pattern in PICKLES):
        raise ModelError(f"{folder} holds its weights only as a pickle, which can run code and is never opened.", hint=SAFE_VERSION)
    raise ModelError(f"{folder} holds no safetensors file.", hint=AGAIN)


def _shards(index: Path) -> list[Path]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{index} lists no weights.")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelError(f"{index} names {name!r}, which is not a safetensors file beside it.")
    return [index.parent / name for name in names]
