"""A rough mask of what words name, from a model's word on a smaller picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gesso.errors import InvalidRequest
from gesso.media import documents
from gesso.media.images import Picture
from gesso.media.working import resized, to_srgb

Plane = npt.NDArray[np.float32]
CELLS = 8
"""How many of the model's own pixels its edge may be off."""


def shown(image: Picture) -> npt.NDArray[np.uint8]:
    """The picture as a model is shown it, sRGB (H, W, 3)."""
    document = documents.read(image)
    return np.asarray(np.clip(to_srgb(document, document.pixels), 0, 1) * 255 + 0.5, np.uint8)


def marked(found: Plane, size: tuple[int, int], sureness: float, subject: str) -> Plane:
    """A mask (H, W, 1), 0 or 1, of a picture of that size (width, height), from the sureness (h, w) of each place. InvalidRequest where
    none is enough.
    """
    most = float(found.max())
    if most < sureness:
        said = f"Nothing in the picture is {subject!r} with a sureness of {sureness:g}; the most is {most:.2f}."
        raise InvalidRequest(said, field="subject", hint="Use other words, lower `sureness`, or paint a mask.")
    return (resized(found[..., None], size) >= sureness).astype(np.float32)


def band_of(found: Plane, size: tuple[int, int]) -> int:
    """Pixels to either side of the edge of such a mask in which the true edge is looked for, at most 256."""
    height, width = found.shape
    return min(256, max(4, int(np.ceil(CELLS * max(size[0] / width, size[1] / height)))))
