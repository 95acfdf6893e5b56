"""The operations that show a model a picture through an IP-Adapter: `style` by the layer that takes the style, `vary` by embedding. True
architectures with random weights, so that what is tested is who hears what and not how it looks.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.plugins.diffusion.oracles import pipeline_of
from tests.plugins.diffusion.test_controlnet import TYPES, XL
from tests.plugins.diffusion.test_ip_adapter import add, build_adapter, build_encoder
from tests.plugins.diffusion.unets import build_sd, build_xl

from gesso.errors import InvalidRequest
from gesso.media.documents import Document, write
from gesso.media.profile import SRGB

Pixels = np.ndarray[Any, Any]


class Desk:
    """A studio with a tiny model and an adapter for it, and pictures as a job's inputs."""

    def __init__(self, studio: Any, folder: Path, family: str) -> None:
        xl = family == XL
        settings = {"down_block_types": TYPES["xl" if xl else "sd"], "block_out_channels": (32, 64), "sample_size": 16}
        base = (build_xl if xl else build_sd)(folder / "base", **settings)
        pipeline, _ = pipeline_of("StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline", base)
        build_encoder(folder / "image_encoder")
        build_adapter(pipeline.unet, folder / "mood.safetensors", "plain")
        studio.add("tiny", base, family)
        self.studio, self.path = studio, folder / "mood.safetensors"
        self.blobs: dict[str, bytes] = {}

    def put(self, seed: int) -> dict[str, str]:
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
        data = write(Document(pixels, SRGB, "png"))
        name = hashlib.sha256(data).hexdigest()
        self.blobs[name] = data
        return {"sha256": name}

    def made(self, operation: str, **params: Any) -> Pixels:
        asked = {"model": "tiny", "steps": 3, "seed": 5, "count": 1, **params}
        pixels: Pixels = self.studio.make(operation, asked, self.blobs).outputs[0].pixels
        return pixels


@pytest.fixture(params=["stable-diffusion", XL])
def desk(studio: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    return Desk(studio, tmp_path, request.param)


def test_style_is_what_the_adapter_is_shown(desk: Desk) -> None:
    """Without the picture among the controls, or without the scale, the results would not differ; SDXL hears it by one layer alone."""
    asked = {"image": desk.put(1), "method": "ip_adapter", "size": 64}
    with pytest.raises(InvalidRequest, match="There is no IP-Adapter that could show a picture to the model 'tiny'") as caught:
        desk.made("style", style=[desk.put(2)], **asked)
    assert caught.value.field == "adapter"
    assert "gesso models add FILE" in (caught.value.hint or "")
    add(desk.studio, desk.path)
    one, other = (desk.made("style", style=[desk.put(seed)], **asked) for seed in (2, 3))
    silent = [desk.made("style", style=[desk.put(seed)], scale=0.0, **asked) for seed in (2, 3)]
    assert not np.array_equal(one, other)
    assert np.array_equal(*silent)
    assert one.shape == (32, 32, 3)
    resolved, _ = desk.studio.resolve("style", {**asked, "style": [desk.put(2)], "model": "tiny", "seed": 1})
    assert (resolved.adapter, resolved.strength) == ("mood", 0.6)
    assert desk.studio.resolve("style", resolved.model_dump())[0] == resolved


def test_variations_by_embedding_start_from_no_picture(desk: Desk) -> None:
    """Without `image` taken out the picture itself would be painted over, whatever the embedding says."""
    add(desk.studio, desk.path)
    image, strength = desk.put(1), {"strength": 0.5}
    by_embedding = desk.made("vary", image=image, by="embedding", **strength)
    shown = {"control": {"mood": image}, "width": 32, "height": 32, "prompt": ""}
    assert np.array_equal(by_embedding, desk.made("generate", **shown))
    assert not np.array_equal(by_embedding, desk.made("vary", image=image, by="embedding", strength=1.0))
    assert not np.array_equal(by_embedding, desk.made("vary", image=image, **strength))


def test_what_does_not_go_together_is_said(desk: Desk) -> None:
    add(desk.studio, desk.path)
    image = desk.put(1)
    for more, field in (({"adapter": "mood"}, "adapter"), ({"by": "embedding", "control": {"mood": image}}, "control")):
        with pytest.raises(InvalidRequest) as caught:
            desk.studio.resolve("vary", {"image": image, "model": "tiny", "seed": 1, **more})
        assert caught.value.field == field
