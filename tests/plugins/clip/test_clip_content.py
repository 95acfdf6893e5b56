"""The content check: off by default; what it finds is flagged, blurred or held back, maps with their picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from gesso.errors import PluginError, Refused
from gesso.media import Output
from gesso.testing import Studio
from gesso.worker.filtering import after
from gesso_plugins.clip.content import blurred, face

BRICK = {"red brick": 0.6}


@pytest.fixture
def checked(studio: Studio) -> Iterator[Any]:
    """``checked(prompt, **options)``: the outputs of a texture of that prompt and of moss after the filters, with the owner's options."""
    kept = dict(studio.registry.options)

    def check(prompt: str, **options: Any) -> Sequence[Output]:
        studio.registry.options = {**kept, "clip": options}
        outputs = []
        for index, words in enumerate((prompt, "green moss")):
            params = {"prompt": words, "seed": 6, "width": 128, "height": 128, "tile": "xy", "model": "procedural"}
            (made,) = studio.make("generate", params).outputs
            outputs.append(Output(made.pixels, "image", index, 6, {}, "procedural"))
            outputs.append(Output(made.pixels[..., 0].astype(np.uint16) * 257, "height", index, 6, {}, "procedural"))
        found: Sequence[Output] = studio.run(after(studio.registry, studio.context(), "generate", {}, outputs))
        return found

    yield check
    studio.registry.options = kept


def note(output: Output) -> Mapping[str, Any]:
    found: Mapping[str, Any] = output.info.get("filters", {}).get("content_check", {})
    return found


def test_it_is_off_until_words_are_listed(checked: Any) -> None:
    assert all(not note(output) for output in checked("red brick"))


def test_what_it_finds_is_flagged_and_the_pixels_stay(checked: Any) -> None:
    plain, flagged = checked("red brick"), checked("red brick", content_check=BRICK)
    assert [bool(note(output)) for output in flagged] == [True, True, False, False]
    assert note(flagged[0])["action"] == "flag"
    assert note(flagged[0])["concepts"]["red brick"] > 0.6
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(plain, flagged, strict=True))


def test_blur_leaves_mean_colours_only_in_picture_and_maps(checked: Any) -> None:
    plain, hidden = checked("red brick"), checked("red brick", content_check=BRICK, content_action="blur")
    assert len(np.unique(hidden[0].pixels.reshape(-1, 3), axis=0)) <= 64
    assert len(np.unique(hidden[1].pixels)) <= 64
    assert hidden[1].pixels.dtype == np.uint16
    assert abs(hidden[0].pixels.mean() - plain[0].pixels.mean()) < 1
    assert np.array_equal(hidden[2].pixels, plain[2].pixels)
    assert note(hidden[0])["action"] == "blur"


def test_refusing_gives_out_none(checked: Any) -> None:
    with pytest.raises(Refused, match="looks like 'red brick'"):
        checked("red brick", content_check=BRICK, content_action="refuse")
    assert len(checked("blue fabric", content_check=BRICK, content_action="refuse")) == 4


@pytest.mark.parametrize(
    "options", [{"content_check": ["brick"]}, {"content_check": {"brick": 2}}, {"content_check": BRICK, "content_action": "shout"}]
)
def test_settings_that_cannot_be_meant_fail_the_job(checked: Any, options: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match="content_action = one of flag, blur, refuse"):
        checked("red brick", **options)


def test_a_model_that_is_missing_lets_nothing_through(studio: Studio, checked: Any) -> None:
    studio.registry.models = tuple(model for model in studio.registry.models if model.name != "clip")
    with pytest.raises(Exception, match="no model that can do 'embed'"):
        checked("red brick", content_check=BRICK)


def test_every_kind_of_pixels_has_a_face() -> None:
    for pixels in (np.full((3, 20), 0.5, np.float32), np.full((20, 3, 4), 32768, np.uint16), np.full((9, 9, 2), 128, np.uint8)):
        seen = face(pixels)
        assert seen.dtype == np.uint8
        assert min(seen.shape[:2]) >= 8
        assert seen.shape[2] == 3
        assert set(np.unique(seen)) <= {127, 128}
    assert blurred(np.arange(6, dtype=np.uint8).reshape(2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
