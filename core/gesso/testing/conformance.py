"""What Gesso relies on in every scorer, upscaler and operation, as checks that raise AssertionError with a sentence. `gesso.testing.kit`
has those for samplers and schedules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gesso.plugin import ScoreContext, ScorerSpec, UpscaleContext, UpscalerSpec
from gesso.testing.studio import Made, Studio

PROMPT = "mossy grey cobblestone"


def pictures(studio: Studio, count: int = 3) -> list[npt.NDArray[np.uint8]]:
    """Small seamless pictures to try things on, each different."""
    params = {"prompt": PROMPT, "model": "procedural", "width": 64, "height": 48, "seed": 1, "tile": "xy", "count": count}
    return [output.pixels for output in studio.make("generate", params).outputs]


def check_scorer(studio: Studio, spec: ScorerSpec) -> None:
    """Raise AssertionError unless it gives one finite float a picture, the same each time whatever stands beside it, and writes nowhere."""
    shown = pictures(studio)
    kept = [picture.copy() for picture in shown]

    def asked(some: list[npt.NDArray[np.uint8]], progress: float = 1.0) -> list[float]:
        scores = studio.run(spec.function(ScoreContext(studio.context(), some, PROMPT, "xy", progress)))
        assert len(scores) == len(some), f"the scorer {spec.name!r} gave {len(scores)} scores for {len(some)} pictures"
        for score in scores:
            assert isinstance(score, float), f"the scorer {spec.name!r} gave {type(score).__name__} where float was expected"
            assert math.isfinite(score), f"the scorer {spec.name!r} gave {score!r}, which is no finite number"
        return list(scores)

    first = asked(shown)
    assert asked(shown) == first, f"the scorer {spec.name!r} gives other scores the second time"
    backwards = asked(shown[::-1])[::-1]
    assert np.allclose(backwards, first, atol=1e-5), f"the scorer {spec.name!r} depends on the order of the pictures"
    alone = [asked([picture])[0] for picture in shown]
    assert np.allclose(alone, first, atol=1e-5), f"the scorer {spec.name!r} depends on the pictures beside one"
    asked([shown[0][:16, :16]], progress=0.5)
    assert all(np.array_equal(a, b) for a, b in zip(shown, kept, strict=True)), f"the scorer {spec.name!r} writes into the pictures"


def check_upscaler(studio: Studio, spec: UpscalerSpec) -> None:
    """Raise AssertionError unless it gives the right size for colours and for one channel, the same each time, near the source."""
    colours = pictures(studio, 1)[0].astype(np.float32) / np.float32(255)
    for pixels in (colours, colours[..., :1]):
        kept = pixels.copy()
        for scale in (2, 3):
            made = [studio.run(spec.function(UpscaleContext(studio.context(), pixels, scale))) for _ in range(2)]
            expected = (pixels.shape[0] * scale, pixels.shape[1] * scale, pixels.shape[2])
            assert made[0].shape == expected, f"the upscaler {spec.name!r} gave {made[0].shape} where {expected} was expected"
            assert np.array_equal(made[0], made[1]), f"the upscaler {spec.name!r} gives other pixels the second time"
            off = abs(float(np.mean(made[0])) - float(np.mean(pixels)))
            assert off < 0.02, f"the upscaler {spec.name!r} changes the mean brightness by {off:.3f}"
        assert np.array_equal(pixels, kept), f"the upscaler {spec.name!r} writes into what it is given"


def check_operation(studio: Studio, name: str, params: Mapping[str, Any], blobs: Mapping[str, bytes] | None = None) -> Made:
    """Raise AssertionError unless it resolves to a fixed point and makes the same pictures each time; what it made the first time."""
    first, again = (studio.make(name, params, blobs) for _ in range(2))
    thing = studio.registry.operation(name)
    settled = thing.resolve(studio.context(blobs), first.params)
    assert settled == first.params, f"the operation {name!r} resolves a resolved job to another one"
    assert first.outputs, f"the operation {name!r} made no picture"
    for one, other in zip(first.outputs, again.outputs, strict=True):
        assert np.array_equal(one.pixels, other.pixels), f"the operation {name!r} makes other pixels the second time"
        assert one.pixels.dtype in (np.uint8, np.uint16), f"the operation {name!r} made {one.pixels.dtype}; pixels are uint8 or uint16"
        studio.resolve(name, one.params)
    return first
