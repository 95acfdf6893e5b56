"""What a running job tells its client: progress, coalesced; previews, at most ten a second, the newest wins; warnings."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

from gesso.engine import Preview, Progress
from gesso.media import preview
from gesso.plugin.previews import Draw

PROGRESS_EVERY = 0.05


class Reporter:
    """The newest that is to be told of one job. ``images``: how many pictures it makes, where that is known. ``preview_every``: seconds."""

    def __init__(self, images: int | None, preview_every: float = 0.1) -> None:
        self._images = images
        self._preview_every = preview_every
        self._fractions: dict[int, float] = {}
        self._newest: Progress | None = None
        self._told = -1.0
        self._times: deque[float] = deque(maxlen=20)
        self._preview: Preview | None = None
        self._previewed = -1.0
        self.drawing = False

    def progress(self, event: Progress, now: float) -> None:
        """An image came forward."""
        self._fractions[event.image] = event.fraction
        self._newest = event
        self._times.append(now)

    def preview(self, event: Preview) -> None:
        """There is something newer to show."""
        self._preview = event

    def due_progress(self, now: float, *, last: bool = False) -> dict[str, Any] | None:
        """The body of the event to send now, if any. ``fraction`` is that of the whole job."""
        event = self._newest
        if event is None or (not last and now - self._told < PROGRESS_EVERY):
            return None
        self._newest, self._told = None, now
        images = max(self._images or 0, max(self._fractions) + 1)
        span = self._times[-1] - self._times[0]
        return {
            "type": "progress",
            "image": event.image,
            "images": images,
            "step": event.step,
            "total": event.total,
            "fraction": round(sum(self._fractions.values()) / images, 4),
            "sigma": round(event.sigma, 6),
            "rate": round((len(self._times) - 1) / span, 3) if span > 0 else None,
        }

    def due_preview(self, now: float) -> Preview | None:
        """The preview to draw now, if any; set ``drawing`` until it is sent."""
        event = self._preview
        if event is None or self.drawing or now - self._previewed < self._preview_every:
            return None
        self._preview, self._previewed, self.drawing = None, now, True
        return event


def draw(latent: Tensor, how: Draw) -> tuple[bytes, int, int]:
    """JPEG, width and height of a preview; CPU work for the thread pool."""
    with torch.no_grad():
        pixels = how(latent)
    return preview.jpeg(pixels), int(pixels.shape[1]), int(pixels.shape[0])
