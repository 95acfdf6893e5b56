"""What a job gave: pictures with what is needed to store and to make them again. Plain data; nothing here talks to the daemon."""

from __future__ import annotations

import os
import re
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, Optional, Tuple, Union

from ..errors import OutputError
from ..wire.message import PLANE_MEDIA_TYPE

_FORMATS: Mapping[str, str] = {"uint8": "B", "uint16": "H", "float32": "f"}


@dataclass(frozen=True)
class ResultImage:
    """One picture. ``dtype`` is uint8, uint16 or float32; ``role`` is ``image`` or a map's name; ``recipe`` makes it again.
    ``info`` has, where there is something to say: ``scores`` by scorer, ``filters`` (what they did), ``ranking`` (of a contact sheet),
    ``measured`` (what the operation found out about it). ``ending``: of a name for the file, without the dot.
    """

    sha256: str
    media_type: str
    size: int
    width: int
    height: int
    channels: int
    dtype: str
    role: str
    index: int
    seed: Optional[int]
    score: Optional[float]
    recipe: Optional[Mapping[str, Any]]
    data: Union[bytes, memoryview] = field(repr=False)
    info: Mapping[str, Any] = field(default_factory=dict)
    ending: str = "png"

    def read(self) -> bytes:
        """The file's bytes, or the plane's where ``output="raw"`` was asked for."""
        return bytes(self.data)

    @property
    def shape(self) -> Tuple[int, int, int]:
        """Height, width, channels."""
        return self.height, self.width, self.channels

    def plane(self) -> memoryview:
        """The raw samples, height x width x channels, without a copy; raises OutputError for a picture that is a file."""
        if self.media_type != PLANE_MEDIA_TYPE:
            raise OutputError(f"This picture is {self.media_type}, not raw samples.", hint='Ask for them with output="raw".')
        kind = _FORMATS.get(self.dtype)
        if kind is None or (sys.byteorder != "little" and self.dtype != "uint8"):
            raise OutputError(f"Samples of the type {self.dtype} cannot be shown on this machine.")
        view: Any = memoryview(self.data)
        samples: memoryview = view.cast("B").cast(kind, self.shape)
        return samples

    def save(self, path: Union[str, "os.PathLike[str]"], *, overwrite: bool = True) -> Path:
        """Write the file, whole or not at all; raises OutputError."""
        if self.media_type == PLANE_MEDIA_TYPE:
            raise OutputError("Raw samples are no file format.", hint='Ask for output="png", or take plane().')
        return write_file(Path(path), self.read(), overwrite=overwrite)


@dataclass(frozen=True)
class Result:
    """All that a finished job gave. ``seconds`` of work; ``environment`` is what the bytes depend on beside the job."""

    job: str
    images: Tuple[ResultImage, ...]
    warnings: Tuple[str, ...]
    level: str
    seconds: float
    model: Mapping[str, Any]
    environment: Mapping[str, Any]
    info: Mapping[str, Any]


def build_result(job: str, wire: Mapping[str, Any], blobs: Mapping[str, Union[bytes, memoryview]]) -> Result:
    """The result of a `done` event, with its blobs by their SHA-256."""
    images = []
    for position, image in enumerate(wire.get("images") or ()):
        images.append(
            ResultImage(
                sha256=str(image["sha256"]),
                media_type=str(image.get("media_type", "")),
                size=int(image.get("size", 0)),
                width=int(image.get("width", 0)),
                height=int(image.get("height", 0)),
                channels=int(image.get("channels", 0)),
                dtype=str(image.get("dtype", "uint8")),
                role=str(image.get("role", "image")),
                index=int(image.get("index", position)),
                seed=image.get("seed"),
                score=image.get("score"),
                info={key: image[key] for key in ("scores", "filters", "ranking", "measured") if key in image},
                recipe=image.get("recipe"),
                data=blobs[str(image["sha256"])],
                ending=_ending(image.get("ending", "png")),
            )
        )
    return Result(
        job=job,
        images=tuple(images),
        warnings=tuple(str(warning) for warning in wire.get("warnings") or ()),
        level=str(wire.get("level", "exact")),
        seconds=float(wire.get("seconds") or 0.0),
        model=wire.get("model") or {},
        environment=wire.get("environment") or {},
        info=wire.get("info") or {},
    )


def _ending(told: object) -> str:
    """What a daemon says that files are called; nothing that could lead out of a folder."""
    return told if isinstance(told, str) and re.fullmatch("[a-z0-9]{1,8}", told) else "bin"


def write_file(path: Path, data: bytes, *, overwrite: bool) -> Path:
    """Write beside the place, then rename: the file is whole or absent. Without ``overwrite`` an existing one is refused, never raced."""
    beside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    reserved = False
    try:
        if not overwrite:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            reserved = True
        with open(beside, "xb") as file:
            file.write(data)
        os.replace(beside, path)
    except OSError as fault:
        for left in (beside, path if reserved else beside):
            if left.exists():
                left.unlink()
        if isinstance(fault, FileExistsError) and not reserved and not overwrite:
            raise OutputError(f"{path} exists already.", hint="Choose another name, or allow overwriting.") from fault
        raise OutputError(f"{path} cannot be written: {fault.strerror or fault}.") from fault
    return path
