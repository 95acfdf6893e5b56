"""`edit` in the real engine: what the mask leaves black is the same bytes in every depth, what it covers is new, mistakes are sentences."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from gesso.errors import InvalidRequest
from gesso.media.documents import Document, read, write
from gesso.media.profile import SRGB, read_profile
from gesso.media.working import resized
from gesso.worker.context import WorkerContext

Pipelines = Callable[[str], Path]
SIZE = (96, 80)


def samples(dtype: str, channels: int = 3) -> npt.NDArray[Any]:
    y, x = np.mgrid[: SIZE[1], : SIZE[0]] / 96
    values = np.stack([0.3 + 0.4 * x, 0.6 - 0.3 * y, 0.5 + 0 * x, np.ones_like(x)][:channels], 2)
    return (values * np.iinfo(dtype).max).astype(dtype) if dtype.startswith("u") else values.astype(dtype)


def mask_file(mask: npt.NDArray[np.uint8] | None = None) -> bytes:
    if mask is None:
        mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
        mask[30:50, 40:64] = 255
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def tiny(studio: Any, pipelines: Pipelines) -> Any:
    studio.add("tiny", pipelines("epsilon"))
    return studio


def edited(studio: Any, image: bytes, mask: bytes | None = None, **params: Any) -> Any:
    blobs = {hashlib.sha256(data).hexdigest(): data for data in (image, mask) if data is not None}
    names = {name: {"sha256": hashlib.sha256(data).hexdigest()} for name, data in (("image", image), ("mask", mask)) if data is not None}
    asked = {"prompt": "moss", "model": "tiny", "steps": 2, "seed": 7, "guidance": 1.0, **names, **params}
    return studio.make("edit", asked, blobs)


@pytest.mark.parametrize(
    ("kind", "dtype", "channels"),
    [("png", "uint8", 3), ("png", "uint8", 4), ("png", "uint16", 3), ("tiff", "uint16", 4), ("tiff", "float32", 3), ("exr", "float16", 4)],
)
def test_outside_the_mask_every_byte_stays(tiny: Any, kind: str, dtype: str, channels: int) -> None:
    document = Document(samples(dtype, channels), SRGB, kind)
    (output,) = edited(tiny, write(document), mask_file()).outputs
    box = output.info["measured"]
    reach = box["blend"]
    untouched = np.ones(SIZE[::-1], bool)
    untouched[30 - reach - 1 : 50 + reach + 1, 40 - reach - 1 : 64 + reach + 1] = False
    assert output.pixels.dtype == dtype
    assert output.kind == kind
    assert output.pixels[untouched].tobytes() == document.pixels[untouched].tobytes()
    inside = (slice(32, 48), slice(42, 62))
    assert (output.pixels[inside][..., :3] != document.pixels[inside][..., :3]).mean() > 0.5


def test_no_step_in_between_has_eight_bits(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the model is shown and what it gives back are finer than a byte, its mask is black where nothing may change, and what it made
    there comes back too.
    """
    made: list[tuple[Any, Any, Any]] = []
    operation = WorkerContext.operation

    def watched(ctx: Any, name: str, params: Any) -> Any:
        outputs = yield from operation(ctx, name, params)
        made.append((ctx.blob(params["image"]["sha256"]), ctx.blob(params["mask"]["sha256"]), outputs[0].pixels))
        return outputs

    monkeypatch.setattr(WorkerContext, "operation", watched)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]] / 4e3
    fine = ((np.stack([x, y, x + y], 2) + 0.4) * 65535).astype(np.uint16)
    edited(tiny, write(Document(fine, SRGB, "png")), mask_file())
    shown, mask, result = made[0]
    assert len(np.unique(np.rint(shown * 65535))) > 100, "ten steps of eight bits"
    assert mask.min() == 0
    assert mask.max() == 1
    assert result.dtype == np.uint16
    assert (result % 257 != 0).mean() > 0.9
    black = resized(mask, result.shape[1::-1])[..., 0] == 0
    assert (np.abs(result[black] / 65535 - resized(shown, result.shape[1::-1])[black]) > 1e-3).mean() > 0.9, "not pasted"


def test_without_words_guidance_changes_nothing(tiny: Any) -> None:
    image = write(Document(samples("uint8"), SRGB, "png"))
    once, much = (edited(tiny, image, mask_file(), prompt="", guidance=guidance).outputs[0].pixels for guidance in (1.0, 9.0))
    assert np.abs(once.astype(int) - much).max() <= 1


def test_the_same_request_gives_the_same_bytes_and_another_seed_others(tiny: Any) -> None:
    image = write(Document(samples("uint8"), SRGB, "png"))
    first, again = (edited(tiny, image, mask_file(), count=2).outputs for _ in range(2))
    assert [output.pixels.tobytes() for output in first] == [output.pixels.tobytes() for output in again]
    assert first[0].pixels.tobytes() != first[1].pixels.tobytes()
    alone = edited(tiny, image, mask_file(), seed=8).outputs[0]
    assert alone.pixels.tobytes() == first[1].pixels.tobytes()
    assert first[1].params["seed"] == 8


def test_the_best_of_several_are_kept_as_they_would_be_made_alone(tiny: Any) -> None:
    """Fails without `candidates` in `Edit.run` (one would be made), `faces` in `choose` (scorers would see a layer of 16 bits)."""
    document = write(Document(samples("uint16"), SRGB, "png"))
    asked = {"returns": "layer", "score": {"sharpness": 1}}
    every = edited(tiny, document, mask_file(), count=4, **asked).outputs
    best = edited(tiny, document, mask_file(), best_of=4, keep=2, **asked).outputs
    whole = edited(tiny, document, mask_file(), count=4, score={"sharpness": 1}).outputs
    assert [output.score for output in every] == [output.score for output in whole], "of the surroundings, whatever comes back"
    scores = sorted(((output.score, output.seed) for output in every), reverse=True)
    assert len({score for score, _ in scores}) == 4
    assert [(output.score, output.seed) for output in best] == scores[:2]
    assert [output.index for output in best] == [0, 1]
    alone = edited(
        tiny,
        document,
        mask_file(),
        **{name: value for name, value in best[1].params.items() if value is not None and name not in ("image", "mask")},
    )
    assert alone.outputs[0].pixels.tobytes() == best[1].pixels.tobytes()


def test_the_border_fits_better_than_without(tiny: Any) -> None:
    image = write(Document(samples("uint8"), SRGB, "png"))
    matched = edited(tiny, image, mask_file()).outputs[0].info["measured"]
    assert matched["border_after"] < 0.25 * matched["border_before"]
    assert 0 <= matched["border_delta_e_after"] < 0.5 * matched["border_delta_e_before"]
    assert 0 <= matched["border_gradient_after"] < matched["border_gradient_before"]
    plain = edited(tiny, image, mask_file(), match_border=False).outputs[0].info["measured"]
    assert plain["border_after"] == plain["border_before"] > 4 * matched["border_after"]


def test_the_canvas_grows(tiny: Any) -> None:
    document = Document(samples("uint8"), SRGB, "png")
    (output,) = edited(tiny, write(document), left=16, bottom=8).outputs
    assert output.pixels.shape == (88, 112, 3)
    blend = output.info["measured"]["blend"]
    assert output.pixels[: 80 - blend, 16 + blend :].tobytes() == document.pixels[: 80 - blend, blend:].tobytes()


def test_what_is_transparent_is_filled_where_there_is_no_mask(tiny: Any) -> None:
    pixels = samples("uint8", 4)
    pixels[30:50, 40:60, 3] = 0
    (output,) = edited(tiny, write(Document(pixels, SRGB, "png"))).outputs
    assert (output.pixels[..., 3] == 255).all()


def test_only_the_region_comes_back_where_that_is_asked(tiny: Any) -> None:
    image = write(Document(samples("uint8"), SRGB, "png"))
    whole, region = (edited(tiny, image, mask_file(), returns=what).outputs[0] for what in ("image", "region"))
    x, y, width, height = region.info["measured"]["box"]
    assert region.pixels.shape == (height, width, 3)
    assert region.pixels.tobytes() == whole.pixels[y : y + height, x : x + width].tobytes()


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 3), ("uint16", 4)])
def test_the_region_comes_back_as_a_layer(tiny: Any, dtype: str, channels: int) -> None:
    """Laid over the picture it changes what `region` changes, and it is as transparent as the mask and its blend."""
    document = Document(samples(dtype, channels), SRGB, "png")
    soft = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    soft[30:50, 40:64], soft[30:34, 40:64] = 255, 128
    region, layer = (edited(tiny, write(document), mask_file(soft), returns=what).outputs[0] for what in ("region", "layer"))
    x, y, width, height = layer.info["measured"]["box"]
    alpha = layer.pixels[..., -1] / np.iinfo(dtype).max
    assert layer.pixels.dtype == dtype
    assert layer.pixels.shape == (height, width, 4)
    assert alpha[40 - y : 46 - y, 44 - x : 60 - x].min() == 1
    assert alpha[31 - y, 50 - x] == pytest.approx(128 / 255, abs=0.01)
    untouched = alpha == 0
    assert untouched.any()
    below = document.pixels[y : y + height, x : x + width]
    assert np.array_equal(region.pixels[untouched], below[untouched])
    full = alpha == 1
    colours = region.pixels[full][:, :3].astype(int)
    assert np.abs(layer.pixels[full][:, :3] - colours).max() <= 1  # the region went through linear light and back


def test_a_mask_of_the_grown_canvas_fills_only_what_it_covers(tiny: Any) -> None:
    mask = np.zeros((SIZE[1], SIZE[0] + 32), np.uint8)
    mask[20:60, SIZE[0] - 10 : SIZE[0] + 20] = 255
    (layer,) = edited(tiny, write(Document(samples("uint8"), SRGB, "png")), mask_file(mask), right=32, blend=0, returns="layer").outputs
    x, y, width, height = layer.info["measured"]["box"]
    assert np.array_equal(layer.pixels[..., 3], mask[y : y + height, x : x + width])


def test_an_inverted_mask_edits_the_background(tiny: Any) -> None:
    document = Document(samples("uint8"), SRGB, "png")
    (output,) = edited(tiny, write(document), mask_file(), invert=True, blend=0).outputs
    assert output.pixels[30:50, 40:64].tobytes() == document.pixels[30:50, 40:64].tobytes()


def test_a_profile_goes_through(tiny: Any) -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (output,) = edited(tiny, write(Document(samples("uint16"), read_profile(icc), "png")), mask_file()).outputs
    assert output.profile.icc == icc
    assert read(write(Document(output.pixels, output.profile, "png"))).profile.icc == icc


def test_a_large_region_is_painted_twice(tiny: Any) -> None:
    image = write(Document(samples("uint8"), SRGB, "png"))
    everything = mask_file(np.full((SIZE[1], SIZE[0]), 255, np.uint8))
    measured = edited(tiny, image, everything).outputs[0].info["measured"]
    assert (measured["passes"], measured["working_size"]) == (2, [96, 80])


@pytest.mark.parametrize(
    ("mask", "change", "says"),
    [
        (mask_file(np.zeros((80, 96), np.uint8)), {}, "black all over"),
        (mask_file(np.full((80, 96), 255, np.uint8)), {"invert": True}, "black all over"),
        (None, {}, "No mask was given, and nothing of the picture is transparent"),
        (mask_file(np.zeros((10, 20), np.uint8)), {}, "20 x 10 pixels, and the image 96 x 80"),
        (b"no picture", {}, "mask is not a picture"),
        (mask_file(), {"strength": 0}, "greater than 0"),
        (mask_file(), {"model": "procedural"}, "cannot do 'encode_image'"),
    ],
    ids=["empty", "inverted", "none", "size", "text", "strength", "model"],
)
def test_mistakes_are_sentences(tiny: Any, mask: bytes | None, change: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        edited(tiny, write(Document(samples("uint8"), SRGB, "png")), mask, **change)


def test_presets_set_what_was_left_at_its_default(tiny: Any) -> None:
    asked = {"image": {"sha256": "0" * 64}, "mask": {"sha256": "1" * 64}, "model": "tiny", "seed": 1, "prompt": "moss"}
    plain = tiny.resolve("edit", asked)[0]
    assert tiny.resolve("edit", {**asked, "preset": "inpaint"})[0] == plain
    for name, more, changed in (
        ("outpaint", {"left": 8}, {"padding": 1.0}),
        ("background", {}, {"invert": True}),
        ("remove", {"feather": 30}, {"grow": 12, "padding": 1.0}),
        ("add", {}, {"strength": 0.85, "padding": 0.66}),
    ):
        found = tiny.resolve("edit", {**asked, **more, "preset": name})[0]
        assert found == plain.model_copy(update={**more, **changed}), name
        assert tiny.resolve("edit", found.model_dump())[0] == found


@pytest.mark.parametrize(
    ("preset", "change", "field"), [("outpaint", {}, "preset"), ("background", {"mask": None}, "mask"), ("add", {"prompt": " "}, "prompt")]
)
def test_a_preset_says_what_it_lacks(tiny: Any, preset: str, change: dict[str, Any], field: str) -> None:
    asked = {"image": {"sha256": "0" * 64}, "mask": {"sha256": "1" * 64}, "model": "tiny", "seed": 1, "prompt": "moss"}
    with pytest.raises(InvalidRequest) as caught:
        tiny.resolve("edit", {**asked, **change, "preset": preset})
    assert caught.value.field == field


def test_grey_documents_and_coloured_masks(tiny: Any) -> None:
    grey = samples("uint8")[..., :1]
    coloured = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    coloured[30:50, 40:64] = 255
    made = edited(tiny, write(Document(grey, SRGB, "png")), mask_file(coloured)).outputs[0]
    assert made.pixels.shape == grey.shape
    assert np.array_equal(made.pixels[:20], grey[:20])
    with pytest.raises(InvalidRequest, match="black all over"):
        edited(tiny, write(Document(grey, SRGB, "png")), mask_file(np.full_like(coloured, 255)), invert=True)


def test_a_region_of_one_pixel(tiny: Any) -> None:
    mask = np.zeros((80, 96), np.uint8)
    mask[79, 95] = 255
    (output,) = edited(tiny, write(Document(samples("uint8"), SRGB, "png")), mask_file(mask)).outputs
    assert output.pixels.shape == (80, 96, 3)
