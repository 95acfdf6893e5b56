"""OpenEXR files: half and float samples, grey or RGB, with or without alpha. Other channels are not read.

The library reads and writes named files only, so bytes pass through a temporary one that nobody else may open.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.errors import InvalidRequest
from gesso.media.images import check_size, subject

SIGNATURE = b"\x76\x2f\x31\x01"


def read(data: bytes, field: str) -> npt.NDArray[Any]:
    """Samples (H, W, 1 to 4), float16 where every channel is half, else float32."""
    import OpenEXR

    with _file() as path:
        path.write_bytes(data)
        try:
            low, high = OpenEXR.File(str(path), header_only=True).header()["dataWindow"]
            check_size(int(high[0] - low[0]) + 1, int(high[1] - low[1]) + 1, field)
            there = {name: channel.pixels for name, channel in OpenEXR.File(str(path), separate_channels=True).channels().items()}
        except InvalidRequest:
            raise
        except Exception as fault:  # whatever the library raises names a temporary file, or a part that it did not read
            raise ValueError("its pixels cannot be decoded") from fault
    names = ["Y"] if "Y" in there and "R" not in there else ["R", "G", "B"]
    if not all(name in there for name in names):
        said = f"{subject(field)} has no channels R, G and B; it has {', '.join(sorted(there))}."
        raise InvalidRequest(said, field=field, hint="Save the layer that is meant as a file by itself.")
    planes = [there[name] for name in [*names, *(["A"] if "A" in there else [])]]
    half = all(plane.dtype == np.float16 for plane in planes)
    return np.stack([plane.astype(np.float16 if half else np.float32, copy=False) for plane in planes], 2)


def write(pixels: npt.NDArray[Any]) -> bytes:
    """A file of float16 or float32 samples (H, W, 1 to 4)."""
    import OpenEXR

    if pixels.dtype not in (np.float16, np.float32):
        raise ValueError(f"OpenEXR holds half and float samples, not {pixels.dtype}: convert the pixels to light first")
    channels = pixels.shape[2]
    names = [*("Y" if channels < 3 else "RGB"), *("A" if channels in (2, 4) else "")]
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with _file() as path:
        OpenEXR.File(header, {name: np.ascontiguousarray(pixels[..., c]) for c, name in enumerate(names)}).write(str(path))
        return path.read_bytes()


@contextmanager
def _file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gesso-exr-") as folder:
        yield Path(folder) / "picture.exr"
