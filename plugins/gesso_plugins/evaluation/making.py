"""Asks the daemon for the pictures of an evaluation and for their features; the jobs leave the history at the end. It measures nothing."""

from __future__ import annotations

import contextlib
import io
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from gesso.client import Client, Job, Result
from gesso.errors import DataError, GessoError
from gesso.media import images

Picture = npt.NDArray[np.uint8]
Tell = Callable[[int], None]
"""Told how many are done."""
AHEAD = 8
"""Jobs that wait in the daemon: enough to keep it at work, few enough that others need not wait long for their turn."""
GLANCE = 64
"""Pictures whose features are asked for at once."""


@dataclass(frozen=True)
class Made:
    """Pictures (H, W, 3) with their hashes in the daemon, the model that made them, and how many it made a second once it was loaded."""

    pictures: Sequence[Picture]
    hashes: Sequence[str]
    model: Mapping[str, Any]
    rate: float
    warnings: Sequence[str]


@dataclass(frozen=True)
class Features:
    """Unit vectors (N, D) of pictures and (M, D) of texts, by the model of that name and digest."""

    pictures: npt.NDArray[np.float32]
    texts: npt.NDArray[np.float32]
    model: Mapping[str, Any]


class Maker:
    """One evaluation's jobs. However it ends, those that run are cancelled and those that are done are forgotten."""

    def __init__(self, client: Client, level: str) -> None:
        self._client = client
        self._level = level
        self._open: deque[Job] = deque()
        self._done: list[str] = []

    def __enter__(self) -> Maker:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(GessoError):  # a daemon that went away has nothing left to tidy
            for job in self._open:
                job.cancel()
            for name in self._done:
                self._client.forget(name)

    def make(self, orders: Sequence[Mapping[str, Any]], tell: Tell) -> Made:
        """A picture for each order, the parameters of `generate`. The first one, which loads the model, is not timed."""
        results: list[Result] = []
        began = time.monotonic()
        for order in orders:
            if len(self._open) == (AHEAD if results else 1):
                results.append(self._next())
                tell(len(results))
                began = time.monotonic() if len(results) == 1 else began
            self._submit("generate", order, "png")
        while self._open:
            results.append(self._next())
            tell(len(results))
        rate = (len(results) - 1) / (time.monotonic() - began)
        firsts = [result.images[0] for result in results]
        pictures = [images.quantised(images.decode(first.read()), 8) for first in firsts]
        warnings = dict.fromkeys(warning for result in results for warning in result.warnings)
        return Made(pictures, [first.sha256 for first in firsts], results[0].model, rate, list(warnings))

    def look(self, pictures: Sequence[str | Picture], texts: Sequence[str], tell: Tell) -> Features:
        """Features of pictures, or of those that the daemon has by their hashes, and of as many texts."""
        seen, read, model = [], [], {}
        for start in range(0, len(pictures), GLANCE):
            these = pictures[start : start + GLANCE]
            given = [{"sha256": picture} if isinstance(picture, str) else _png(picture) for picture in these]
            self._submit("embed", {"images": given, "texts": list(texts[start : start + GLANCE])}, "raw")
            result = self._next()
            plane = result.images[0]
            rows = np.asarray(plane.plane(), np.float32).reshape(plane.height, plane.width)
            if not np.isfinite(rows).all():
                raise DataError("A picture is too small to be looked at.", field="data", hint="Give pictures of at least 8 pixels a side.")
            seen.append(rows[: len(these)])
            read.append(rows[len(these) :])
            model = dict(result.model)
            tell(start + len(these))
        return Features(np.concatenate(seen), np.concatenate(read), model)

    def _submit(self, operation: str, params: Mapping[str, Any], output: str) -> None:
        self._open.append(self._client.submit(operation, params, level=self._level, output=output))

    def _next(self) -> Result:
        result = self._open[0].result()
        self._done.append(self._open.popleft().id)
        return result


def _png(picture: Picture) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()
