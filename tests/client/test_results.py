"""Pictures in memory and on disk."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gesso.client import ResultImage
from gesso.client.results import build_result
from gesso.errors import OutputError
from gesso.wire.message import PLANE_MEDIA_TYPE

IMAGE = ResultImage("ab", "image/png", 4, 2, 1, 3, "uint8", "image", 0, 7, None, {"operation": "generate"}, b"data")


def plane(dtype: str, data: bytes) -> ResultImage:
    return replace(IMAGE, media_type=PLANE_MEDIA_TYPE, dtype=dtype, data=data, width=2, height=1, channels=3)


def test_planes_are_views_of_the_right_shape() -> None:
    raw = plane("uint8", bytes(range(6)))
    assert raw.shape == raw.plane().shape == (1, 2, 3)
    samples: object = raw.plane().tolist()
    assert samples == [[[0, 1, 2], [3, 4, 5]]]
    assert plane("uint16", struct.pack("<6H", *range(0, 60000, 10000))).plane()[0, 1, 2] == 50000
    assert plane("float32", struct.pack("<6f", *range(6))).plane()[0, 0, 1] == 1.0


def test_numpy_takes_planes_without_a_copy() -> None:
    raw = plane("float32", struct.pack("<6f", *range(6)))
    array = np.asarray(raw.plane())
    assert array.dtype == np.float32
    assert array.shape == (1, 2, 3)
    assert np.shares_memory(array, np.frombuffer(raw.data, np.float32))


def test_planes_are_no_files_and_files_no_planes(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not raw"):
        IMAGE.plane()
    with pytest.raises(OutputError, match="no file format"):
        plane("uint8", bytes(6)).save(tmp_path / "a.raw")
    with pytest.raises(OutputError, match="float64"):
        plane("float64", bytes(48)).plane()


def test_saving_replaces_or_refuses(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert IMAGE.save(path) == path
    assert IMAGE.save(str(path)).read_bytes() == b"data"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        IMAGE.save(path, overwrite=False)
    assert path.read_bytes() == b"mine"
    assert IMAGE.save(tmp_path / "b.png", overwrite=False).read_bytes() == b"data"
    assert sorted(os.listdir(tmp_path)) == ["a.png", "b.png"]


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        IMAGE.save(tmp_path / "absent" / "a.png")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        IMAGE.save(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("step", ["open", "os.replace"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_full_disk_at_any_step_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, overwrite: bool) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("builtins.open" if step == "open" else step, full)
    with pytest.raises(OutputError, match="No space left"):
        IMAGE.save(tmp_path / "a.png", overwrite=overwrite)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


def test_a_sparse_result_takes_defaults() -> None:
    result = build_result("j", {"images": [{"sha256": "ab"}]}, {"ab": b"x"})
    assert (result.level, result.seconds, result.warnings, result.model) == ("exact", 0.0, (), {})
    assert result.images[0].read() == b"x"
    assert result.images[0].role == "image"
