"""Styles: their words around the request's, their settings where it has none, and nothing left to resolve."""

from __future__ import annotations

from typing import Any

import pytest

from gesso.errors import InvalidRequest
from gesso.plugin import StyleSpec
from gesso_plugins.styles.presets import PRESETS

ASKED = {"prompt": "a lighthouse", "seed": 1, "model": "starter"}


def test_a_style_is_written_out_in_the_frozen_job(studio: Any) -> None:
    resolved, _ = studio.resolve("generate", {**ASKED, "negative": "people", "style_preset": "Oil Painting"})
    style = next(preset for preset in PRESETS if preset.name == "oil_painting")
    assert resolved.prompt == style.prompt.replace("{prompt}", "a lighthouse")
    assert resolved.negative == f"people, {style.negative}"
    assert resolved.style_preset is None
    again, _ = studio.resolve("generate", resolved.model_dump(mode="json"))
    assert again == resolved


def test_settings_count_where_the_request_is_silent(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = StyleSpec("fast", "Fast", params={"steps": 4, "guidance": 2.0, "sampler": "euler"})
    monkeypatch.setattr(type(studio.registry), "style", lambda *_: fast)
    resolved, _ = studio.resolve("generate", {**ASKED, "style_preset": "fast", "steps": 9})
    assert (resolved.steps, resolved.guidance, resolved.sampler, resolved.prompt) == (9, 2.0, "euler", "a lighthouse")


def test_an_edit_is_put_into_a_style_too(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails without `styled` in `Edit.resolve`, and without `chosen`: `edit` has no width that a style could set."""
    fast = StyleSpec("fast", "Fast", prompt="an oil painting of {prompt}", negative="photo", params={"steps": 4, "width": 640})
    monkeypatch.setattr(type(studio.registry), "style", lambda *_: fast)
    resolved, _ = studio.resolve("edit", {**ASKED, "image": {"sha256": "0" * 64}, "style_preset": "fast", "preset": "refine"})
    assert (resolved.prompt, resolved.negative, resolved.style_preset) == ("an oil painting of a lighthouse", "photo", None)
    assert (resolved.steps, resolved.strength) == (4, 0.4)


@pytest.mark.parametrize(("params", "said"), [({"seed": 4}, "sets 'seed'"), ({"steps": 0}, "steps")])
def test_a_style_that_cannot_be_is_named(studio: Any, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any], said: str) -> None:
    monkeypatch.setattr(type(studio.registry), "style", lambda *_: StyleSpec("odd", "Odd", params=params))
    with pytest.raises(InvalidRequest, match=said) as caught:
        studio.resolve("generate", {**ASKED, "style_preset": "odd"})
    assert caught.value.field == "style_preset"


def test_an_unknown_style_names_the_nearest(studio: Any) -> None:
    with pytest.raises(InvalidRequest, match="oil_painting") as caught:
        studio.resolve("generate", {**ASKED, "style_preset": "oil paint"})
    assert caught.value.field == "style_preset"
