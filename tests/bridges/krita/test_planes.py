"""Krita's samples become files that others read as the same picture, and planes of the daemon become Krita's samples."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from gesso_bridges.krita.planes import Picture, picture, sampled, trimmed
from gesso_bridges.krita.pngfile import Png, mask_png


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("opaque", [True, False])
def test_a_picture_becomes_the_same_picture_as_a_file(depth: int, opaque: bool) -> None:
    kind = {1: np.uint8, 2: np.uint16}[depth]
    bgra = np.random.default_rng(1).integers(0, np.iinfo(kind).max, (5, 7, 4), dtype=kind)
    if opaque:
        bgra[..., 3] = np.iinfo(kind).max
    read = imagecodecs.png_decode(Picture(7, 5, depth, bgra.tobytes()).png())
    assert read.dtype == kind
    assert np.array_equal(read, bgra[..., [2, 1, 0] if opaque else [2, 1, 0, 3]])


@pytest.mark.parametrize("depth", [1, 2])
def test_of_a_file_that_is_made_again_only_new_rows_are_packed(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails without `known.get(id(part))` in `Png.file`, without `known = {}` there (rows of RGBA would stand among rows of RGB), or
    without `low - 1` in `_joined` (readers that look at the checksum would refuse the file).
    """
    kind = {1: np.uint8, 2: np.uint16}[depth]
    whole = np.random.default_rng(5).integers(0, np.iinfo(kind).max, (70, 9, 4), dtype=kind)
    whole[..., 3] = np.iinfo(kind).max
    parts = [whole[:40].tobytes(), whole[40:64].tobytes(), whole[64:].tobytes()]
    packed: list[int] = []
    packs = Png._packed
    monkeypatch.setattr(Png, "_packed", lambda self, part: (packed.append(len(part)), packs(self, part))[1])
    file = Png(9, 70, depth)
    assert np.array_equal(imagecodecs.png_decode(file.file(parts)), whole[..., [2, 1, 0]])
    assert len(packed) == 3
    whole[50, 3, :3] = 7
    parts[1] = whole[40:64].tobytes()
    assert np.array_equal(imagecodecs.png_decode(file.file(parts)), whole[..., [2, 1, 0]])
    assert packed[3:] == [len(parts[1])]
    whole[66, 2, 3] = 9
    parts[2] = whole[64:].tobytes()
    again = file.file(parts)
    assert np.array_equal(imagecodecs.png_decode(again), whole[..., [2, 1, 0, 3]])
    assert len(packed) == 7
    assert len(zlib.decompress(b"".join(data for name, data in chunks(again) if name == b"IDAT"))) == 70 * (1 + 9 * 4 * depth)


def chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Of a PNG file, each with its checksum looked at."""
    at = 8
    while at < len(file):
        (length,) = struct.unpack_from(">I", file, at)
        name, data = file[at + 4 : at + 8], file[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", file, at + 8 + length) == (zlib.crc32(name + data),)
        yield name, data
        at += 12 + length


def test_a_mask_becomes_a_grey_file() -> None:
    mask = bytes(range(12))
    assert np.asarray(Image.open(io.BytesIO(mask_png(4, 3, mask)))).tobytes() == mask


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_planes_come_back_in_the_order_of_krita(kind: type, channels: int) -> None:
    plane = np.random.default_rng(2).integers(0, np.iinfo(kind).max, (3, 4, channels), dtype=kind)
    made = picture(memoryview(plane))
    bgra = np.frombuffer(bytes(made.data), kind).reshape(3, 4, 4)
    colours = np.repeat(plane[..., :1], 3, 2) if channels < 3 else plane[..., [2, 1, 0]]
    assert np.array_equal(bgra[..., :3], colours)
    assert np.array_equal(bgra[..., 3], plane[..., -1] if channels in (2, 4) else np.full((3, 4), np.iinfo(kind).max))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_nth_pixel_of_every_nth_row_makes_a_small_picture(kind: type, channels: int) -> None:
    plane = np.random.default_rng(4).integers(0, np.iinfo(kind).max, (23, 31, channels), dtype=kind)
    small = sampled(memoryview(plane), 8)
    assert (small.width, small.height) == (8, 6)
    assert bytes(small.data) == bytes(picture(memoryview(np.ascontiguousarray(plane[::4, ::4]))).data)
    assert bytes(sampled(memoryview(plane), 31).data) == bytes(picture(memoryview(plane)).data)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_what_is_wholly_transparent_is_cut_off(kind: type) -> None:
    bgra = np.random.default_rng(3).integers(1, np.iinfo(kind).max, (40, 50, 4), dtype=kind)
    alpha = np.zeros((40, 50), kind)
    alpha[7:33, 11:42] = 1  # of 16 bits, a byte of it is zero
    alpha[20, 20] = 0
    bgra[..., 3] = alpha
    x, y, kept = trimmed(Picture(50, 40, np.dtype(kind).itemsize, bgra.tobytes()))
    assert (x, y, kept.width, kept.height) == (11, 7, 31, 26)
    assert bytes(kept.data) == np.ascontiguousarray(bgra[7:33, 11:42]).tobytes()
    nothing = trimmed(Picture(3, 2, 1, bytes(24)))
    assert (nothing[0], nothing[1], nothing[2].width, nothing[2].height) == (0, 0, 1, 1)


def test_a_short_buffer_is_refused_before_krita_reads_beyond_it() -> None:
    with pytest.raises(ValueError, match="has 16 bytes, not 15"):
        Picture(2, 2, 1, bytes(15))
    with pytest.raises(ValueError, match="has 4 bytes, not 3"):
        mask_png(2, 2, bytes(3))
