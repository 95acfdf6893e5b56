"""Text in the EXIF block of a picture: how it was made, where the peers put it in WebP and JPEG. It reads and writes two tags, no others.

`parameters` is the UserComment, as AUTOMATIC1111 writes it; `gesso` is the MakerNote, the tag that is each maker's own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

_EXIF_IFD, _MAKER_NOTE, _USER_COMMENT = 0x8769, 0x927C, 0x9286
_LONG, _UNDEFINED = 4, 7
_HEADER = b"MM\0\x2a\0\0\0\x08"
_UNICODE, _ASCII = b"UNICODE\0", b"ASCII\0\0\0"
_MARK = b"gesso\0"
"""Before our own JSON, so that another maker's note is not taken for it."""


def pack(texts: Mapping[str, str]) -> bytes:
    """The block for `parameters` and `gesso`; empty where there is neither."""
    notes = {}
    if "gesso" in texts:
        notes[_MAKER_NOTE] = _MARK + texts["gesso"].encode("utf-8")
    if "parameters" in texts:
        notes[_USER_COMMENT] = _UNICODE + texts["parameters"].encode("utf-16-be", "replace")
    if not notes:
        return b""
    first = struct.pack(">HHHIII", 1, _EXIF_IFD, _LONG, 1, len(_HEADER) + 18, 0)
    at = len(_HEADER) + len(first) + 2 + 12 * len(notes) + 4
    entries = b""
    for tag, value in notes.items():  # a note is longer than the 4 bytes that an entry could hold
        entries += struct.pack(">HHII", tag, _UNDEFINED, len(value), at)
        at += len(value)
    return b"".join((_HEADER, first, struct.pack(">H", len(notes)), entries, b"\0\0\0\0", *notes.values()))


def unpack(block: bytes) -> dict[str, str]:
    """`parameters` and `gesso` of an EXIF block, as far as they are there; a damaged block has neither."""
    data = block.removeprefix(b"Exif\0\0")
    order = {b"MM": ">", b"II": "<"}.get(data[:2])
    if order is None:
        return {}
    texts: dict[str, str] = {}
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        for tag, _, value in _entries(data, start, order):
            if tag == _EXIF_IFD:
                for inner, length, at in _entries(data, value, order):
                    _take(texts, inner, data[at : at + length], order)
    except struct.error:
        return {}
    return texts


def _entries(data: bytes, start: int, order: str) -> Iterator[tuple[int, int, int]]:
    """(tag, count, value or offset) of one directory."""
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for number in range(min(count, 200)):
        tag, _, length, value = struct.unpack_from(f"{order}HHII", data, start + 2 + 12 * number)
        yield tag, length, value


def _take(texts: dict[str, str], tag: int, value: bytes, order: str) -> None:
    if tag == _MAKER_NOTE and value.startswith(_MARK):
        texts["gesso"] = value.removeprefix(_MARK).decode("utf-8", "replace")
    elif tag == _USER_COMMENT and value.startswith(_UNICODE):
        texts["parameters"] = value.removeprefix(_UNICODE).decode("utf-16-be" if order == ">" else "utf-16-le", "replace")
    elif tag == _USER_COMMENT and value.startswith(_ASCII):
        texts["parameters"] = value.removeprefix(_ASCII).decode("ascii", "replace")
