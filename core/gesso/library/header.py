"""Reads the header of a safetensors file without trusting it: bounded, checked against the file's size, judged by content and never by
name. No tensor is read, and a pickle is refused whatever it is called.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gesso.errors import ModelError

HEADER_LIMIT = 16 * 1024 * 1024
TENSOR_LIMIT = 20_000
AGAIN = "Download or export the model again."
SAFE_VERSION = "Get the safetensors version of the model, or convert it on a machine that trusts it."
_MOST_DIMENSIONS = 16
_BYTES: Mapping[str, int] = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
_PICKLE = "a pickle under another name, which can run code and is never opened"
_OTHERS: tuple[tuple[bytes, str], ...] = (
    *((b"\x80" + bytes([protocol]), _PICKLE) for protocol in range(6)),
    (b"PK\x03\x04", f"{_PICKLE} (torch packs it into a zip archive)"),
    (b"GGUF", "a GGUF file, which Gesso does not read"),
    (b"\x89HDF", "an HDF5 file, which Gesso does not read"),
    (b"version https://git-lfs", "the pointer that Git LFS leaves in place of a file"),
    (b"<", "a web page, as a failed download leaves it"),
)
"""What lies under the name of a weight file now and then, by its first bytes; a sound file has its header's ``{`` after eight of any."""


@dataclass(frozen=True)
class Header:
    """``tensors``: name -> (dtype, shape); ``metadata``: the writer's own words; ``data``: where the tensors' bytes start in the file."""

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    metadata: Mapping[str, str]
    data: int

    @property
    def parameters(self) -> int:
        """How many numbers there are."""
        return sum(math.prod(shape) for _, shape in self.tensors.values())

    def nbytes(self, as_bytes: int | None = None) -> int:
        """Bytes of all tensors, or what floating-point ones take at so many bytes a number."""
        return sum(
            math.prod(shape) * (as_bytes if as_bytes is not None and "F" in dtype else _BYTES[dtype])
            for dtype, shape in self.tensors.values()
        )

    @property
    def dtype(self) -> str:
        """The number format that most of the bytes have."""
        spent: dict[str, int] = {}
        for dtype, shape in self.tensors.values():
            spent[dtype] = spent.get(dtype, 0) + math.prod(shape) * _BYTES[dtype]
        return max(spent, key=lambda name: spent[name], default="")


def read_header(path: Path) -> Header:
    """The header of a sound safetensors file; ModelError says what else it is, or what is wrong with it."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            raw = _raw(path, file, size)
    except OSError as fault:
        raise ModelError(f"{path} cannot be read: {fault.strerror}.", hint=AGAIN) from fault
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as fault:
        raise _damaged(path, "its header is not JSON") from fault
    if not isinstance(content, dict):
        raise _damaged(path, "its header is not an object")
    metadata = content.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, "its metadata is not text")
    start = 8 + len(raw)
    _check_places(path, content, size - start)
    return Header({name: (entry["dtype"], tuple(entry["shape"])) for name, entry in content.items()}, metadata, start)


def _raw(path: Path, file: BinaryIO, size: int) -> bytes:
    """The bytes of the header, when what stands before them is believable."""
    start = file.read(64)
    if start[8:9] != b"{":
        for magic, what in _OTHERS:
            if start.startswith(magic):
                raise ModelError(f"{path} is {what}.", hint=SAFE_VERSION if what.startswith(_PICKLE) else AGAIN)
    length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else 0
    if not 2 <= length <= size - 8:
        raise _damaged(path, "its header does not fit into it")
    if length > HEADER_LIMIT:
        raise _damaged(path, f"its header has more than {HEADER_LIMIT >> 20} MiB")
    file.seek(8)
    raw = file.read(length)
    if raw.count(b'"data_offsets"') > TENSOR_LIMIT:
        raise _damaged(path, f"it claims more than {TENSOR_LIMIT} tensors")
    return raw


def _check_places(path: Path, content: Mapping[str, Any], room: int) -> None:
    """Every tensor is possible, and together they fill the rest of the file: no gap, no overlap, nothing missing, nothing behind."""
    if len(content) > TENSOR_LIMIT:
        raise _damaged(path, f"it claims more than {TENSOR_LIMIT} tensors")
    places = sorted(_place(path, name, entry) for name, entry in content.items())
    end = 0
    for begin, stop in places:
        if begin != end:
            raise _damaged(path, "its tensors overlap or leave gaps")
        end = stop
    if end > room:
        raise _damaged(path, f"it is cut short, {end - room} bytes are missing")
    if end < room:
        raise _damaged(path, f"{room - end} bytes follow its last tensor")


def _place(path: Path, name: str, entry: object) -> tuple[int, int]:
    if isinstance(entry, dict):
        dtype = entry.get("dtype")
        shape, offsets = _whole(entry.get("shape"), range(_MOST_DIMENSIONS + 1)), _whole(entry.get("data_offsets"), range(2, 3))
        if isinstance(dtype, str) and dtype in _BYTES and shape is not None and offsets is not None:
            begin, end = offsets
            if end - begin == math.prod(shape) * _BYTES[dtype]:
                return begin, end
    raise _damaged(path, f"its header describes a tensor that cannot be ({name[:60]!r})")


def _whole(value: object, lengths: range) -> list[int] | None:
    """A list of so many whole numbers, or None."""
    return value if isinstance(value, list) and len(value) in lengths and all(type(n) is int and 0 <= n < 2**53 for n in value) else None


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(f"{path} is not a sound safetensors file: {why}.", hint=AGAIN)
