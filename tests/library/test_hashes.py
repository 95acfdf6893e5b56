"""Hashes are those that the peers show, and are computed once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from tests.library.conftest import LORA, write

from gesso.errors import ModelError
from gesso.library import hashes
from gesso.library.hashes import Hashes


def a1111_addnet(path: Path) -> str:
    """AutoV3 spelled out as A1111 defines it: what follows eight bytes of length and the header."""
    content = path.read_bytes()
    return hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()


def test_they_are_what_the_peers_compute(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.safetensors", LORA)
    told = write(tmp_path / "b.safetensors", LORA, {"ss_network_dim": "4"})
    of = Hashes()
    assert of.sha256(plain) == hashlib.sha256(plain.read_bytes()).hexdigest()
    assert of.autov3(plain) == a1111_addnet(plain) == of.autov3(told)
    assert of.sha256(plain) != of.sha256(told)


def test_a_hash_is_computed_once_and_shared_between_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "WORTH_KEEPING", 1)
    cache = tmp_path / hashes.CACHE_NAME
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = Hashes(cache).sha256(path)
    monkeypatch.setattr(hashlib, "file_digest", None)  # whoever hashes now fails
    other = Hashes(cache)
    assert other.sha256(path) == first
    monkeypatch.undo()
    path.write_bytes(b"other")
    os.utime(path, ns=(1, 1))
    assert other.sha256(path) == hashlib.sha256(b"other").hexdigest()
    cache.write_text("{")
    assert Hashes(cache).sha256(path) == hashlib.sha256(b"other").hexdigest()


def test_a_file_that_is_not_there_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        Hashes().sha256(tmp_path / "nothing")
