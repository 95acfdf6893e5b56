"""`style` in the real engine: the look moves towards the style's, shapes stay, masks hold to the byte, mistakes are sentences."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gesso.engine import Apply, Emit, Host, ModelRef
from gesso.errors import InvalidRequest
from gesso.media.documents import Document, write
from gesso.media.profile import SRGB
from gesso.media.seam import seams
from gesso.media.working import LUMA
from gesso.model.features import Look, Wanted, answer, gram
from gesso_plugins.style.colour import reshaped
from gesso_plugins.style.learning.paintings import MEDIA
from gesso_plugins.style.measure import edge_correlation
from gesso_plugins.style.optimising import Search, optimised

Pixels = npt.NDArray[Any]


def scene(size: tuple[int, int] = (96, 80)) -> npt.NDArray[np.float32]:
    """A disc and a bar before a sky."""
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    sky = np.stack([0.3 + 0.3 * y / size[1], 0.5 + 0 * x, 0.9 - 0.4 * y / size[1]], 2)
    disc = np.clip(22 - np.hypot(x - 40, y - 36), 0, 1)[..., None]
    bar = ((y > 58) & (y < 70)).astype(np.float32)[..., None]
    made = sky * (1 - disc) + np.array([0.9, 0.6, 0.2]) * disc
    return np.asarray(made * (1 - bar) + np.array([0.2, 0.3, 0.1]) * bar, np.float32)


def painted(medium: str, seed: int = 1) -> npt.NDArray[np.float32]:
    picture = scene((96, 96))[::-1, :, ::-1].copy()
    return MEDIA[medium](picture, np.random.default_rng(seed)).clip(0, 1).astype(np.float32)


def samples(picture: npt.NDArray[np.float32], dtype: str = "uint8") -> Pixels:
    return (picture * np.iinfo(dtype).max + 0.5).astype(dtype) if dtype.startswith("u") else picture.astype(dtype)


class Desk:
    """Pictures as a job's inputs."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def put(self, pixels: Pixels, kind: str = "png") -> dict[str, str]:
        data = write(Document(pixels if pixels.ndim == 3 else pixels[..., None], SRGB, kind))
        name = hashlib.sha256(data).hexdigest()
        self.blobs[name] = data
        return {"sha256": name}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def restyled(studio: Any, desk: Desk, image: Pixels, styles: list[Pixels], kind: str = "png", **params: Any) -> Any:
    asked = {"image": desk.put(image, kind), "style": [desk.put(style) for style in styles], "seed": 1, "size": 96, **params}
    return studio.make("style", asked, desk.blobs).outputs


@pytest.mark.parametrize(("method", "more"), [("transfer", {}), ("optimise", {"steps": 12})])
def test_the_look_comes_nearer_and_the_shapes_stay(studio: Any, desk: Desk, method: str, more: dict[str, Any]) -> None:
    (output,) = restyled(studio, desk, samples(scene()), [samples(painted("mosaic"))], method=method, **more)
    measured = output.info["measured"]
    assert measured["look_after"] < 0.7 * measured["look_before"]
    made = output.pixels.astype(np.float32) / np.float32(255)
    assert abs(measured["edges"] - edge_correlation(scene(), made)) < 0.05
    assert measured["edges"] > 0.4


def test_the_same_request_gives_the_same_bytes_and_each_seed_its_own(studio: Any, desk: Desk) -> None:
    first, again = (restyled(studio, desk, samples(scene()), [samples(painted("dashes"))], count=2) for _ in range(2))
    assert [output.pixels.tobytes() for output in first] == [output.pixels.tobytes() for output in again]
    assert first[0].pixels.tobytes() != first[1].pixels.tobytes()
    assert (first[1].params["count"], first[1].params["seed"]) == (1, 2)
    alone = studio.make("style", first[1].params, desk.blobs).outputs[0]
    assert alone.pixels.tobytes() == first[1].pixels.tobytes()


@pytest.mark.parametrize(("kind", "dtype"), [("png", "uint8"), ("png", "uint16"), ("tiff", "float32")])
def test_outside_the_masks_every_byte_stays_and_each_style_goes_where_its_mask_is(studio: Any, desk: Desk, kind: str, dtype: str) -> None:
    image = samples(scene(), dtype)
    left, right = np.zeros((2, 80, 96), np.uint8)
    left[:, :30], right[:, 60:] = 255, 255
    red, green = (np.broadcast_to(np.array(colour, np.uint8), (64, 64, 3)).copy() for colour in ((250, 10, 10), (10, 200, 10)))
    masks = [desk.put(left), desk.put(right)]
    (output,) = restyled(studio, desk, image, [red, green], kind, method="colours", mask=masks)
    assert output.pixels.dtype == dtype
    assert output.pixels[:, 30:60].tobytes() == image[:, 30:60].tobytes()
    means = [output.pixels[:, part].reshape(-1, 3).mean(0) for part in (slice(0, 28), slice(62, 96))]
    assert [int(mean.argmax()) for mean in means] == [0, 1]
    (whole,) = restyled(studio, desk, image, [red, green], kind, mask=masks)
    assert whole.pixels[:, 30:60].tobytes() == image[:, 30:60].tobytes()
    assert whole.pixels[:, :28].tobytes() != image[:, :28].tobytes()


def test_colours_or_lightness_can_stay(studio: Any, desk: Desk) -> None:
    from gesso.media.lab import to_lab

    own = to_lab(scene())
    for preserve, channels in (("colours", slice(1, 3)), ("lightness", slice(0, 1))):
        (output,) = restyled(studio, desk, samples(scene()), [samples(painted("pastel"))], preserve=preserve)
        made = to_lab(output.pixels.astype(np.float32) / np.float32(255))
        apart = np.abs(made - own)
        assert np.median(apart[..., channels]) < 1.5, preserve
        assert np.median(apart) > np.median(apart[..., channels])


@pytest.mark.parametrize("method", ["transfer", "optimise", "colours"])
def test_all_shapes_can_stay_while_the_look_comes_nearer(studio: Any, desk: Desk, method: str) -> None:
    steps = {"steps": 12} if method == "optimise" else {}
    (output,) = restyled(studio, desk, samples(scene()), [samples(painted("mosaic"))], method=method, preserve="shapes", **steps)
    made = output.pixels.astype(np.float32) / np.float32(255)
    assert edge_correlation(scene(), made) > 0.999
    assert output.info["measured"]["edges"] > 0.999
    assert np.abs(made - scene()).mean() > 0.03
    if method == "optimise":
        assert output.info["measured"]["look_after"] < 0.7 * output.info["measured"]["look_before"]


@given(seed=st.integers(0, 10_000), dark=st.floats(0, 0.3), bright=st.floats(0.5, 1))
def test_brightness_moves_as_a_whole_and_stays_within_what_can_be_shown(seed: int, dark: float, bright: float) -> None:
    rng = np.random.default_rng(seed)
    own = rng.random((9, 7, 3)).astype(np.float32)
    made = reshaped((dark + (bright - dark) * rng.random((9, 7, 3))).astype(np.float32), own)
    assert made.min() > -1e-5
    assert made.max() < 1 + 1e-5
    lines, new = (each @ LUMA for each in (own, made))
    slope, start = np.polyfit(lines.ravel(), new.ravel(), 1)
    assert slope > 0
    assert np.abs(slope * lines + start - new).max() < 1e-4


def test_a_tile_stays_a_tile(studio: Any, desk: Desk) -> None:
    tile = studio.make("generate", {"prompt": "cobblestone", "model": "procedural", "seed": 2, "width": 96, "height": 96}).outputs[0].pixels
    wraps, ends = (restyled(studio, desk, tile, [samples(painted("mosaic"))], tile=how)[0].pixels for how in ("xy", "none"))
    for axis, fit in seams(wraps, "xy").items():
        assert fit["ratio"] < max(1.35, seams(tile, "xy")[axis]["ratio"])
        assert fit["ratio"] < 0.7 * seams(ends, "xy")[axis]["ratio"]


def test_alpha_stays(studio: Any, desk: Desk) -> None:
    alpha = np.linspace(0, 255, 96, dtype=np.uint8)[None, :, None].repeat(80, 0)
    (output,) = restyled(studio, desk, np.concatenate([samples(scene()), alpha], 2), [samples(painted("wash"))])
    assert output.pixels[..., 3].tobytes() == alpha.tobytes()


def test_a_preset_repaints_by_a_model_that_starts_from_pictures(studio: Any, desk: Desk, pipelines: Callable[[str], Path]) -> None:
    studio.add("tiny", pipelines("epsilon"))
    asked = {"image": desk.put(samples(scene())), "preset": "oil_painting", "model": "tiny", "seed": 3, "steps": 2, "size": 96}
    (output,) = studio.make("style", asked, desk.blobs).outputs
    assert output.pixels.shape == (80, 96, 3)
    assert output.model == "tiny"
    assert output.pixels.tobytes() != samples(scene()).tobytes()
    (again,) = studio.make("style", asked, desk.blobs).outputs
    assert again.pixels.tobytes() == output.pixels.tobytes()


class Blur:
    """An encoder that nobody trained: the picture at three sizes, with its differences."""

    @staticmethod
    def encode(picture: torch.Tensor) -> list[torch.Tensor]:
        found = []
        for size in (1, 2, 4):
            small = torch.nn.functional.avg_pool2d(picture, size)
            found.append(torch.cat([small, small - small.roll(1, 3), small - small.roll(1, 2)], 1))
        return found


def test_any_encoder_serves_the_optimisation() -> None:
    """The contract of `gesso.model.features`, answered by an encoder of the test's own, driven without an engine."""
    pictures = scene((64, 64)), painted("points")[:64, :64]
    content, style = (torch.from_numpy(picture.transpose(2, 0, 1).copy())[None] for picture in pictures)
    wanted = Wanted((Look(tuple(gram(level) for level in Blur.encode(style))),), tuple(Blur.encode(content)), 0.01)

    def drive(job: Generator[Any, Any, torch.Tensor]) -> torch.Tensor:
        reply = None
        while True:
            try:
                asked = job.send(reply)
            except StopIteration as end:
                return end.value
            assert isinstance(asked, Emit | Apply | Host)
            if isinstance(asked, Host):
                reply: Any = asked.function(*asked.args)
            else:
                reply = None if isinstance(asked, Emit) else answer(Blur.encode, asked.method, asked.inputs)

    made = drive(optimised(ModelRef("blur", "0"), content, Search(wanted, 40, lambda made: made)))
    before, after = (answer(Blur.encode, "feature_distance", {"picture": each, "wanted": wanted}) for each in (content, made))
    assert after < 0.3 * before
    whole, gradient = answer(Blur.encode, "feature_gradient", {"picture": content, "wanted": wanted})
    step = torch.zeros_like(content)
    step[0, 1, 20, 20] = 1e-2
    further = answer(Blur.encode, "feature_gradient", {"picture": content + step, "wanted": wanted})[0]
    assert math.isclose((further - whole) / 1e-2, float(gradient[0, 1, 20, 20]), rel_tol=0.2, abs_tol=1e-4)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"style": []}, "style", "no style"),
        ({"preset": "ink"}, "style", "not both"),
        ({"mask": [{"sha256": "0" * 64}] * 2}, "mask", "2 masks and 1 styles"),
        ({"steps": 5}, "steps", "takes no steps"),
        ({"method": "optimise", "count": 2}, "count", "same each time"),
        ({"model": "procedural"}, "model", "repaints by a preset"),
        ({"network": "clip"}, "model", "stylise"),
        ({"style": [], "preset": "ink", "network": "style"}, "network", "a model repaints"),
        ({"method": "ip_adapter", "model": "starter"}, "adapter", "no IP-Adapter that could show a picture"),
        ({"method": "ip_adapter", "style": [{"sha256": "2" * 64}] * 2}, "style", "one picture"),
        ({"scale": 0.5}, "adapter", "goes with the method ip_adapter"),
        ({"prompt": "a cat"}, "prompt", "preset"),
        ({"style": [], "preset": "no such"}, None, "no such"),
        ({"style": [], "preset": "ink", "method": "optimise"}, "method", "preset"),
    ],
)
def test_what_does_not_go_together_is_said(studio: Any, change: dict[str, Any], field: str | None, words: str) -> None:
    asked = {"image": {"sha256": "1" * 64}, "style": [{"sha256": "2" * 64}], "seed": 1, **change}
    with pytest.raises(InvalidRequest, match=words) as caught:
        studio.resolve("style", asked)
    assert field is None or caught.value.field == field


def test_bad_pictures_are_refused_in_a_sentence(studio: Any, desk: Desk) -> None:
    style = samples(painted("oil"))
    with pytest.raises(InvalidRequest, match="16 a side"):
        restyled(studio, desk, samples(scene((40, 9))), [style])
    with pytest.raises(InvalidRequest, match="black all over"):
        restyled(studio, desk, samples(scene()), [style], mask=[desk.put(np.zeros((80, 96), np.uint8))])
    with pytest.raises(InvalidRequest, match="pixels, and the image"):
        restyled(studio, desk, samples(scene()), [style], mask=[desk.put(np.full((8, 8), 255, np.uint8))])


@pytest.mark.slow
def test_more_of_the_look_is_had_than_by_colours_alone_and_the_shapes_stay(studio: Any, desk: Desk) -> None:
    """On a fixed small set: at least 40 % of the Gram distance is gone at edges of 0.6 or more, beyond what Reinhard's colours do; with the
    shapes held, edges are beyond Reinhard's too.
    """
    from gesso_plugins.style.family import StyleFamily
    from gesso_plugins.style.transfer import features

    network = StyleFamily().load(studio.context().model("style"), torch.device("cpu"))._network
    content = scene()
    falls: dict[str, list[float]] = {"transfer": [], "optimise": [], "held": [], "colours": []}
    edges: dict[str, list[float]] = {method: [] for method in falls}
    for medium in ("mosaic", "watercolour", "swirls"):
        style = painted(medium)
        look = (Look(tuple(gram(level) for level in features(network, torch.from_numpy(style.transpose(2, 0, 1).copy())[None]))),)
        wanted = Wanted(look)

        def apart(picture: npt.NDArray[np.float32], wanted: Wanted = wanted) -> float:
            planes = torch.from_numpy(picture.transpose(2, 0, 1).copy())[None]
            return float(answer(lambda x: features(network, x), "feature_distance", {"picture": planes, "wanted": wanted}))

        for method, gone in falls.items():
            how = {"method": "optimise", "preserve": "shapes"} if method == "held" else {"method": method}
            (output,) = restyled(studio, desk, samples(content), [samples(style)], **how)
            made = output.pixels.astype(np.float32) / np.float32(255)
            gone.append(1 - apart(made) / apart(content))
            edges[method].append(output.info["measured"]["edges"])
    for method in ("transfer", "optimise", "held"):
        assert np.median(falls[method]) >= 0.4
        assert np.median(falls[method]) > np.median(falls["colours"])
        assert np.median(edges[method]) >= 0.6
    assert np.median(edges["held"]) > np.median(edges["colours"])
