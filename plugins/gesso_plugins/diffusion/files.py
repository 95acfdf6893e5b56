"""What the families of latent diffusion take from `gesso.library` to read model files without trusting them, under one roof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from gesso.library import hashes, read_json, weight_files
from gesso.library import read_header as _read_header
from gesso.library.header import AGAIN

__all__ = ["AGAIN", "digest", "file_digest", "read_header", "read_json", "weight_files"]


def read_header(path: Path) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    """Tensor name -> (dtype, shape), from the checked header alone."""
    return _read_header(path).tensors


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes; kept for as long as its size and time of change stay the same."""
    return hashes.shared.sha256(path)


def digest(root: Path, paths: Iterable[Path]) -> str:
    """One SHA-256 over the names and contents of these files below ``root``."""
    return hashes.shared.of_files(root, paths)
