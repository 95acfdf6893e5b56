"""Reads model directories without trusting them: small JSON files, and weights in safetensors only, judged by their content.

Nothing here runs code from a model: pickles are refused even when they are renamed, and Python files are never looked at.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gesso.errors import ModelError

AGAIN = "Download or export the model again."
JSON_LIMIT = 1024 * 1024
HEADER_LIMIT = 32 * 1024 * 1024
_PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth", "*.pkl")
_DTYPES = frozenset({"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"})
_digests: dict[tuple[str, int, int], str] = {}


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
    if any(next(folder.glob(pattern), None) for pattern in _PICKLES):
        raise ModelError(
            f"{folder} holds its weights only as a pickle, which can run code and is never opened.",
            hint="Get the safetensors version of the model, or convert it on a machine that trusts it.",
        )
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


def read_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Tensor name -> (dtype, shape), from the header alone; the content decides, not the file's name."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            if start[:4] == b"PK\x03\x04" or start[:1] == b"\x80":
                raise ModelError(f"{path} is a pickle under another name, which can run code and is never opened.")
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(HEADER_LIMIT, size - 8):
                raise _damaged(path, "its header does not fit into it")
            header = json.loads(file.read(length))
    except OSError as fault:
        raise ModelError(f"{path} cannot be read: {fault.strerror}.") from fault
    except (ValueError, RecursionError) as fault:
        raise _damaged(path, "its header is not JSON") from fault
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not an object")
    header.pop("__metadata__", None)
    found = {name: _described(path, entry) for name, entry in header.items()}
    end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if end > size - 8 - length:
        raise _damaged(path, "it is cut short")
    return found


def _described(path: Path, entry: object) -> tuple[str, tuple[int, ...]]:
    if isinstance(entry, dict):
        dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
        numbers = isinstance(shape, list) and all(isinstance(n, int) and n >= 0 for n in shape)
        placed = isinstance(offsets, list) and len(offsets) == 2 and all(isinstance(n, int) and n >= 0 for n in offsets)
        if dtype in _DTYPES and numbers and placed:
            return str(dtype), tuple(shape or ())
    raise _damaged(path, "its header describes a tensor that cannot be")


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(f"{path} is not a sound safetensors file: {why}.", hint=AGAIN)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes; remembered for as long as its size and time of change stay the same."""
    try:
        stat = path.stat()
        key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
        if key not in _digests:
            with path.open("rb") as file:
                _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as fault:
        raise ModelError(f"{path} cannot be read: {fault.strerror}.") from fault
    return _digests[key]


def digest(root: Path, paths: Iterable[Path]) -> str:
    """One SHA-256 over the names and contents of these files below ``root``."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(f"{path.relative_to(root).as_posix()}\0{file_digest(path)}\n".encode())
    return whole.hexdigest()
