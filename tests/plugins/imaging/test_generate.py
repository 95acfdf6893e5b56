"""`generate`: complete parameters, the same picture for the same seed however it is asked for, and one sentence for each mistake."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso.engine import Preview, Progress, Warn
from gesso.errors import BlobMissing, InvalidRequest, PluginError
from gesso.media.seam import seam
from gesso.model import Parametrisation
from gesso.plugin import ScheduleSpec
from gesso_plugins.imaging.generate import started
from gesso_plugins.imaging.running import noise_levels

Pipelines = Callable[[str], Path]
TINY = {"prompt": "mossy brick", "model": "tiny", "width": 32, "height": 16, "steps": 4, "seed": 7}


@pytest.fixture
def tiny(studio: Any, pipelines: Pipelines) -> Any:
    studio.add("tiny", pipelines("epsilon"))
    return studio


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_models_defaults_are_filled_in_and_resolving_again_changes_nothing(tiny: Any) -> None:
    resolved, warnings = tiny.resolve("generate", {"prompt": "moss", "model": "tiny", "seed": 3})
    found = resolved.model_dump()
    assert warnings == []
    assert found["sampler"] == "dpmpp_2m"
    assert (found["schedule"], found["steps"], found["guidance"], found["width"], found["height"]) == ("karras", 20, 5.0, 32, 32)
    assert tiny.resolve("generate", found)[0] == resolved


def test_names_become_canonical(tiny: Any) -> None:
    found = tiny.resolve("generate", {**TINY, "sampler": "Euler a Exponential"})[0]
    assert (found.sampler, found.schedule) == ("euler_ancestral", "exponential")
    assert tiny.resolve("generate", {**TINY, "sampler": "DPM++ 2M Karras", "schedule": "Simple"})[0].schedule == "simple"


def test_without_a_model_the_first_that_can_do_the_job_is_taken(tiny: Any) -> None:
    assert tiny.resolve("generate", {"prompt": "moss", "seed": 1})[0].model == "procedural"
    with_image = {"prompt": "moss", "seed": 1, "image": {"sha256": "0" * 64}}
    assert tiny.resolve("generate", with_image)[0].model in ("starter", "tiny")


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"model": "tinny"}, "model", "tiny"),
        ({"sampler": "eulr"}, "sampler", "euler"),
        ({"schedule": "karas"}, "schedule", "karras"),
        ({"width": 33}, "width", "nearest is 34"),
        ({"height": 4096}, "height", "nearest is 2048"),
        ({"strength": 0.5}, "strength", "without an image"),
        ({"mask": {"sha256": "0" * 64}}, "mask", "without an image"),
        ({"seed": 2**53 - 1, "count": 2}, "seed", "over"),
        ({"seed": None}, "seed", "missing"),
        ({"options": {"other": {}}}, "options.other", "'stable-diffusion'"),
        ({"options": {"stable-diffusion": {"magic": 1}}}, "options.stable-diffusion.magic", "takes none"),
        ({"steps": 0}, "steps", "greater than or equal to 1"),
        ({"guidance": float("nan")}, "guidance", "finite"),
        ({"prompt": "  "}, "prompt", "empty"),
        ({"colour": "red"}, "colour", "not permitted"),
    ],
)
def test_a_mistake_names_its_field(tiny: Any, change: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        tiny.resolve("generate", {**TINY, **change})
    assert caught.value.field == field
    assert said in caught.value.message


def test_many_pictures_equal_the_same_one_at_a_time(tiny: Any) -> None:
    together = tiny.make("generate", {**TINY, "count": 3, "sampler": "euler_ancestral"}).outputs
    assert [(output.index, output.seed) for output in together] == [(0, 7), (1, 8), (2, 9)]
    assert not np.array_equal(together[0].pixels, together[1].pixels)
    for output in together:
        assert output.params["count"] == 1
        assert output.params["seed"] == output.seed
        again = tiny.make("generate", output.params).outputs
        assert np.array_equal(again[0].pixels, output.pixels)
        assert again[0].params == output.params


def test_a_picture_has_its_size_its_labels_and_its_progress(tiny: Any) -> None:
    made = tiny.make("generate", TINY)
    output = made.outputs[0]
    assert output.pixels.shape == (16, 32, 3)
    assert output.pixels.dtype == np.uint8
    assert output.info["labels"] == {"sampler": "DPM++ 2M", "schedule": "Karras"}
    steps = [event for event in made.events if isinstance(event, Progress)]
    assert [event.step for event in steps] == [1, 2, 3, 4]
    assert steps[-1].fraction == 1.0
    assert all(event.latent.shape == (1, 4, 8, 16) for event in made.events if isinstance(event, Preview))


def test_guidance_one_needs_no_negative_prompt_and_says_so(tiny: Any) -> None:
    made = tiny.make("generate", {**TINY, "guidance": 1, "negative": "blur"})
    assert made.warnings == ["The negative prompt has no effect at guidance 1."]
    assert np.array_equal(made.outputs[0].pixels, tiny.make("generate", {**TINY, "guidance": 1}).outputs[0].pixels)


def test_guidance_and_words_change_the_picture(tiny: Any) -> None:
    plain = tiny.make("generate", TINY).outputs[0].pixels
    for change in ({"guidance": 9}, {"negative": "red"}, {"prompt": "a lake"}, {"sampler": "heun"}, {"tile": "xy"}, {"seed": 8}):
        assert not np.array_equal(tiny.make("generate", {**TINY, **change}).outputs[0].pixels, plain), change


def test_tiling_is_undone_by_the_next_job(tiny: Any) -> None:
    before = tiny.make("generate", TINY).outputs[0].pixels
    tiny.make("generate", {**TINY, "tile": "xy"})
    assert np.array_equal(tiny.make("generate", TINY).outputs[0].pixels, before)


@pytest.mark.parametrize("size", [(34, 18), (16, 62)])
def test_sizes_that_do_not_halve_evenly_work(tiny: Any, size: tuple[int, int]) -> None:
    for tile in ("none", "xy"):
        made = tiny.make("generate", {**TINY, "width": size[0], "height": size[1], "tile": tile, "steps": 2})
        assert made.outputs[0].pixels.shape == (size[1], size[0], 3)


def masked_in(tiny: Any, mask: bytes, **more: Any) -> Any:
    data = png(32, 16)
    blobs = {hashlib.sha256(part).hexdigest(): part for part in (data, mask)}
    image, where = ({"sha256": name} for name in (hashlib.sha256(data).hexdigest(), hashlib.sha256(mask).hexdigest()))
    return tiny.make("generate", {**TINY, "image": image, "mask": where, **more}, blobs).outputs[0].pixels


def mask_of(right: int, left: int = 0) -> bytes:
    """Columns of the right half have one grey, those of the left another."""
    pixels = np.full((16, 32), left, np.uint8)
    pixels[:, 16:] = right
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_black_in_a_mask_keeps_pixels_byte_for_byte(tiny: Any) -> None:
    source = np.asarray(Image.open(io.BytesIO(png(32, 16))))
    made = masked_in(tiny, mask_of(255))
    assert np.array_equal(made[:, :16], source[:, :16])
    assert not np.array_equal(made[:, 16:], source[:, 16:])


def test_what_the_model_made_of_the_black_can_be_had(tiny: Any) -> None:
    pasted, made = masked_in(tiny, mask_of(255)), masked_in(tiny, mask_of(255), paste=False)
    assert not np.array_equal(pasted[:, :16], made[:, :16])
    assert np.array_equal(pasted[:, 16:], made[:, 16:])


def test_sixteen_bits_are_the_eight_and_what_lies_between(tiny: Any) -> None:
    image = png(32, 16)
    blobs = {hashlib.sha256(data).hexdigest(): data for data in (image, mask_of(255))}
    source, mask = ({"sha256": name} for name in blobs)
    eight, sixteen = (
        tiny.make("generate", {**TINY, "image": source, "mask": mask, "bits": bits}, blobs).outputs[0].pixels for bits in (8, 16)
    )
    assert sixteen.dtype == np.uint16
    assert np.array_equal(np.floor(sixteen / 257 + 0.5), eight)
    assert np.array_equal(sixteen[:, :16], eight[:, :16] * np.uint16(257)), "what is pasted is the source, at any depth"
    assert (sixteen[:, 16:] % 257 != 0).mean() > 0.9


def test_a_model_that_renders_says_that_it_has_eight_bits(studio: Any) -> None:
    resolved, warnings = studio.resolve("generate", {"prompt": "moss", "model": "procedural", "seed": 1, "bits": 16})
    assert resolved.bits == 8
    assert "bits" in warnings[0]


def test_planes_are_taken_as_they_are(tiny: Any) -> None:
    """Steps finer than eight bits reach the model: another operation's planes are not a file in between."""
    planes = np.full((16, 32, 3), 0.5, np.float32)
    shifted = planes + np.float32(1e-3)
    ctx = tiny.context()
    asked = {**TINY, "prompt": "", "strength": 0.0, "bits": 16}
    first, again, other = (tiny.run(ctx.operation("generate", {**asked, "image": ctx.keep(each)}))[0] for each in (planes, planes, shifted))
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)
    assert ctx.keep(planes) != ctx.keep(planes[..., :1]), "a name stands for one shape"


def test_grey_in_a_mask_changes_less_than_white(tiny: Any) -> None:
    """What is kept through the first steps keeps the picture's colours."""
    white, grey, dark = (masked_in(tiny, mask_of(value, 255), strength=1.0)[:, 16:].astype(int) for value in (255, 128, 64))
    assert not np.array_equal(white, grey)
    assert not np.array_equal(grey, dark)


def test_a_mask_that_would_paint_nothing_is_refused(tiny: Any) -> None:
    with pytest.raises(InvalidRequest, match="black all over") as caught:
        masked_in(tiny, mask_of(0))
    assert caught.value.field == "mask"


def test_strength_goes_from_the_picture_to_something_new(tiny: Any) -> None:
    data = png(32, 16)
    name = hashlib.sha256(data).hexdigest()

    def made(strength: float) -> np.ndarray[Any, Any]:
        output = tiny.make("generate", {**TINY, "image": {"sha256": name}, "strength": strength}, {name: data}).outputs[0]
        assert output.params["strength"] == strength
        pixels: np.ndarray[Any, Any] = output.pixels
        return pixels.astype(int)

    kept = made(0.0)
    distance = [float(np.abs(made(strength) - kept).mean()) for strength in (0.25, 0.5, 1.0)]
    assert 0 < distance[0] < distance[1] < distance[2]
    resolved = tiny.resolve("generate", {**TINY, "image": {"sha256": name}})[0]
    assert resolved.strength == 0.6


def test_a_missing_or_broken_input_is_said(tiny: Any) -> None:
    request = {**TINY, "image": {"sha256": "1" * 64}}
    with pytest.raises(BlobMissing):
        tiny.make("generate", request)
    with pytest.raises(InvalidRequest, match="not a picture") as caught:
        tiny.make("generate", request, {"1" * 64: b"no picture"})
    assert caught.value.field == "image"


@pytest.mark.parametrize("levels", [[], [1.0], [0.0, 0.0], [1.0, float("nan"), 0.0], [float("inf"), 0.0], [1.0, -0.5]])
def test_a_schedule_that_gives_nonsense_is_named(levels: list[float]) -> None:
    broken = ScheduleSpec("broken", lambda *_: levels, "Broken", "none")
    with pytest.raises(PluginError, match="'broken'"):
        noise_levels(broken, Parametrisation("epsilon", (0.1, 9.0)), 4)


@pytest.mark.parametrize(("strength", "left"), [(None, 10), (1.0, 10), (0.5, 5), (0.99, 9), (0.04, 1), (0.0, 0)])
def test_strength_leaves_the_last_steps(strength: float | None, left: int) -> None:
    sigmas = [float(level) for level in range(10, -1, -1)]
    assert started(sigmas, strength) == sigmas[10 - left :]


def test_every_sampler_runs_and_its_progress_ends_at_the_announced_step(tiny: Any) -> None:
    for spec in tiny.registry.samplers:
        made = tiny.make("generate", {**TINY, "sampler": spec.name, "steps": 3})
        steps = [event for event in made.events if isinstance(event, Progress)]
        assert steps[-1].total == (None if spec.evaluations == 0 else steps[-1].step), spec.name
        assert steps[-1].fraction == pytest.approx(1.0, abs=0.35 if spec.evaluations == 0 else 0), spec.name
        assert made.outputs[0].pixels.std() > 0, spec.name


def test_the_renderer_renders_and_says_what_it_does_not_use(studio: Any) -> None:
    made = studio.make("generate", {"prompt": "red brick", "seed": 3, "width": 48, "height": 32, "steps": 9, "negative": "x", "count": 2})
    assert made.warnings == ["The model 'procedural' does not use steps, negative."]
    assert [output.pixels.shape for output in made.outputs] == [(32, 48, 3)] * 2
    assert made.outputs[0].params["steps"] is None
    again = studio.make("generate", made.outputs[1].params)
    assert again.warnings == []
    assert np.array_equal(again.outputs[0].pixels, made.outputs[1].pixels)


def test_an_unknown_word_is_warned_of_once(studio: Any) -> None:
    made = studio.make("generate", {"prompt": "red brick xyzzyx", "seed": 3, "width": 32, "height": 32, "count": 3})
    warnings = [event.message for event in made.events if isinstance(event, Warn)]
    assert len(warnings) == 1
    assert "xyzzyx" in warnings[0]


def test_the_renderer_cannot_start_from_a_picture(studio: Any) -> None:
    request = {"prompt": "red brick", "seed": 3, "model": "procedural"}
    with pytest.raises(InvalidRequest) as strength:
        studio.resolve("generate", {**request, "strength": 0.5})
    with pytest.raises(InvalidRequest) as image:
        studio.resolve("generate", {**request, "image": {"sha256": "0" * 64}})
    assert (strength.value.field, image.value.field) == ("strength", "model")


def test_the_seam_is_measured_where_the_picture_wraps(tiny: Any) -> None:
    wrapped = tiny.make("generate", {**TINY, "tile": "x"}).outputs[0]
    assert set(wrapped.info["measured"]["seam"]) == {"x"}
    assert not tiny.make("generate", TINY).outputs[0].info["measured"]


def test_the_starters_border_is_like_any_other_place(studio: Any) -> None:
    """Over some pictures, since one border alone may lie anywhere among the steps; without wrapping the same borders show."""
    asked = {"prompt": "mossy stone wall", "model": "starter", "seed": 1, "count": 6, "width": 64, "height": 64, "steps": 8}
    wrapped, plain = (
        [seam(output.pixels, axis)["ratio"] for output in studio.make("generate", {**asked, "tile": tile}).outputs for axis in "xy"]
        for tile in ("xy", "none")
    )
    assert abs(sum(wrapped) / len(wrapped) - 1) < 0.15
    assert sum(plain) > 1.5 * sum(wrapped)


def test_a_picture_in_windows_is_larger_than_the_model_makes(tiny: Any) -> None:
    asked = {**TINY, "width": 96, "height": 64, "window": 64}
    large = tiny.make("generate", asked).outputs[0].pixels
    assert large.shape == (64, 96, 3)
    whole, one = (tiny.make("generate", {**asked, "window": window}).outputs[0].pixels for window in (None, 96))
    assert np.array_equal(one, whole), "one window is no window"
    assert not np.array_equal(large, whole)
    assert tiny.resolve("generate", {**asked, "width": 4096})[0].width == 4096
    wraps = tiny.make("generate", {**asked, "tile": "x"}).outputs[0]
    assert wraps.info["measured"]["seam"]["x"]["ratio"] < 1.5


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"window": 66.5}, "window"),
        ({"window": 67}, "width"),
        ({"window": 64, "image": {"sha256": "0" * 64}, "mask": {"sha256": "0" * 64}}, "mask"),
        ({"window": 64, "width": 8200}, "width"),
    ],
)
def test_what_cannot_be_cut_into_windows_is_said(tiny: Any, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        tiny.resolve("generate", {**TINY, **change})
    assert caught.value.field == field
