"""The guidance that `generate` takes: complete after resolving, in the recipe and its text, and one sentence for each mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gesso.errors import InvalidRequest
from gesso.plugin import GuidanceSpec
from gesso.recipe import Recipe, infotext, parse_infotext
from gesso_plugins.diffusion.model import LatentDiffusion

Pipelines = Callable[[str], Path]
TINY = {"prompt": "mossy brick", "model": "tiny", "width": 32, "height": 16, "steps": 4, "seed": 7, "sampler": "euler", "guidance": 5.0}
MIDDLE = "mid_block.attentions.0"


@pytest.fixture
def tiny(studio: Any, pipelines: Pipelines) -> Any:
    studio.add("tiny", pipelines("epsilon"))
    return studio


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each forward of the network had."""
    seen: list[int] = []
    denoise = LatentDiffusion.denoise

    def counted(model: Any, x: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        seen.append(len(x))
        return denoise(model, x, sigma, cond)

    monkeypatch.setattr(LatentDiffusion, "denoise", counted)
    return seen


def pixels(studio: Any, **asked: Any) -> np.ndarray[Any, Any]:
    made: np.ndarray[Any, Any] = studio.make("generate", {**TINY, **asked}).outputs[0].pixels
    return made


def test_resolving_fills_in_every_option_and_again_changes_nothing(tiny: Any) -> None:
    asked = {**TINY, "guidance_extra": {"PAG": 4, "slg": {"layers": ["up_blocks.1", "mid_block"], "start": 0.01, "end": 0.2}}}
    resolved, notes = tiny.resolve("generate", asked)
    assert notes == []
    assert resolved.guidance_extra == {
        "perturbed_attention": {"scale": 4.0, "schedule": "constant", "layers": [MIDDLE], "start": 0.0, "end": 1.0},
        "skip_layer": {
            "scale": 2.5,
            "schedule": "constant",
            "layers": ["up_blocks.1.attentions.0", "up_blocks.1.attentions.1", MIDDLE],
            "start": 0.01,
            "end": 0.2,
        },
    }
    assert tiny.resolve("generate", resolved.model_dump())[0] == resolved


def test_each_parameter_changes_the_picture(tiny: Any) -> None:
    plain = pixels(tiny)
    changes: list[dict[str, Any]] = [
        {"guidance_rescale": 0.7},
        {"guidance_schedule": "linear"},
        {"guidance_schedule": "cosine"},
        {"guidance_start": 0.5},
        {"guidance_end": 0.5},
        {"guidance_extra": {"perturbed_attention": 9}},
        {"guidance_extra": {"skip_layer": 9}},
        {"guidance_extra": {"dynamic_thresholding": {}}},
    ]
    made = [pixels(tiny, **change) for change in changes]
    for i, picture in enumerate([plain, *made]):
        assert not any(np.array_equal(picture, other) for other in made[i:]), i


def test_no_guidance_costs_one_row_and_an_interval_saves_rows_outside_it(tiny: Any, rows: list[int]) -> None:
    for asked, wanted in (
        ({"guidance": 1}, [1, 1, 1, 1]),
        ({}, [2, 2, 2, 2]),
        ({"guidance_start": 0.25, "guidance_end": 0.75}, [1, 2, 2, 1]),
        ({"guidance_schedule": "linear"}, [1, 2, 2, 2]),
        ({"guidance_extra": {"pag": {"end": 0.5}}}, [2, 1, 2, 1, 2, 2]),
        ({"guidance": 1, "guidance_extra": {"pag": 0}}, [1, 1, 1, 1]),
    ):
        rows.clear()
        pixels(tiny, **asked)
        assert rows == wanted, asked


def test_what_leaves_things_as_they_are_gives_equal_bits(tiny: Any) -> None:
    plain = pixels(tiny)
    assert np.array_equal(pixels(tiny, guidance_extra={"perturbed_attention": 0, "skip_layer": 0}), plain)
    assert np.array_equal(pixels(tiny, guidance_start=0.0, guidance_end=1.0, guidance_rescale=0.0), plain)
    assert np.array_equal(pixels(tiny, guidance=1, guidance_rescale=0.7), pixels(tiny, guidance=1))


def test_the_order_of_the_request_does_not_count(tiny: Any) -> None:
    one = pixels(tiny, guidance_rescale=0.5, guidance_extra={"pag": 3, "dynamic_thresholding": {"mimic": 2}, "slg": 2})
    other = pixels(tiny, guidance_rescale=0.5, guidance_extra={"slg": 2, "dynamic_thresholding": {"mimic": 2}, "pag": 3})
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"guidance_start": 0.5, "guidance_end": 0.5}, "guidance_end", "before it starts"),
        ({"guidance_rescale": 1.5}, "guidance_rescale", "less than or equal to 1"),
        ({"guidance_schedule": "sudden"}, "guidance_schedule", "'constant', 'linear' or 'cosine'"),
        ({"guidance_extra": {"perturbed_atention": 3}}, "guidance_extra", "perturbed_attention"),
        ({"guidance_extra": {"pag": "much"}}, "guidance_extra.pag.scale", "valid number"),
        ({"guidance_extra": {"pag": {"strength": 1}}}, "guidance_extra.pag.strength", "scale, schedule, layers, start, end"),
        ({"guidance_extra": {"pag": {"layers": ["roof"]}}}, "guidance_extra.pag.layers", MIDDLE),
        ({"guidance_extra": {"pag": {"start": 0.6, "end": 0.2}}}, "guidance_extra.pag.end", "before it starts"),
        ({"guidance_extra": {"pag": {"end": 2}}}, "guidance_extra.pag.end", "less than or equal to 1"),
        ({"guidance_extra": {"pag": 1, "perturbed_attention": 2}}, "guidance_extra.perturbed_attention", "twice"),
        ({"guidance_extra": {"cfg": 3}}, "guidance_extra.cfg", "field of its own"),
        ({"guidance_extra": {"dynamic_thresholding": 3}}, "guidance_extra.dynamic_thresholding.scale", "no option 'scale'"),
    ],
)
def test_a_mistake_names_its_field(tiny: Any, asked: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        tiny.resolve("generate", {**TINY, **asked})
    assert caught.value.field == field
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_a_renderer_says_that_it_does_not_use_guidance(studio: Any) -> None:
    resolved, notes = studio.resolve("generate", {"prompt": "brick", "seed": 1, "guidance_rescale": 0.5, "guidance_extra": {"pag": 3}})
    assert notes == ["The model 'procedural' does not use guidance_rescale, guidance_extra."]
    assert (resolved.guidance_rescale, resolved.guidance_extra) == (0.0, {})


def test_the_text_of_the_recipe_carries_what_peers_read(tiny: Any) -> None:
    asked = {
        **TINY,
        "guidance_rescale": 0.7,
        "guidance_schedule": "cosine",
        "guidance_start": 0.25,
        "guidance_end": 0.75,
        "guidance_extra": {"pag": 3, "slg": 2, "dynamic_thresholding": {}},
    }
    params = tiny.resolve("generate", asked)[0].model_dump(mode="json")
    text = infotext(Recipe("generate", params, "tiny", "abc", "1"))
    for item in ("CFG Rescale: 0.7", "CFG schedule: cosine", "Skip Early CFG: 0.25", "CFG end: 0.75", "PAG scale: 3", "SLG scale: 2"):
        assert item in text
    assert "Guidance extra: dynamic_thresholding" in text
    found = parse_infotext(text)
    again = tiny.resolve("generate", {**found, "guidance_extra": {**found["guidance_extra"], "dynamic_thresholding": {}}})[0]
    assert again.model_dump(mode="json")["guidance_extra"] == params["guidance_extra"]
    for name in ("guidance_rescale", "guidance_schedule", "guidance_start", "guidance_end"):
        assert found[name] == params[name]
    plain = infotext(Recipe("generate", tiny.resolve("generate", TINY)[0].model_dump(mode="json"), "tiny", "abc", "1"))
    assert not any(word in plain for word in ("Rescale", "Early", "CFG end", "PAG", "SLG", "Guidance"))


def test_a_long_weighted_prompt_is_guided_beside_a_short_negative_one(tiny: Any, rows: list[int]) -> None:
    long = "mossy (brick:1.4) with ferns, " * 6
    made = pixels(tiny, prompt=long, negative="blur", guidance_extra={"pag": 2})
    assert rows == [1, 1, 1] * 4  # the prompt, the negative prompt and the perturbed prompt do not fit into one forward
    assert not np.array_equal(made, pixels(tiny, prompt=long.replace("1.4", "0.6"), negative="blur", guidance_extra={"pag": 2}))
    assert np.array_equal(made, pixels(tiny, prompt=long, negative="blur", guidance_extra={"pag": 2}))


def test_a_strangers_guidance_is_found_by_its_dotted_name(tiny: Any) -> None:
    def fade(moment: Any, scale: float = 0.5, layers: tuple[str, ...] = ()) -> Any:
        return (1.0 - scale) * (yield ()).x0

    spec = GuidanceSpec("paint.fade", fade, "Fade", "none", 70)
    plain = pixels(tiny)
    registry = tiny.registry
    try:
        tiny.registry = registry.copy()
        tiny.registry.guidances.add(spec.name, spec, "paint", ("Fade",))
        typed = {"paint": {"fade": {"scale": 0.25}}}  # --guidance-extra paint.fade.scale=0.25
        for asked in (typed, {"paint.fade": 0.25}, {"paint": {"fade": 0.25}}):
            resolved = tiny.resolve("generate", {**TINY, "guidance_extra": asked})[0]
            wanted = {"scale": 0.25, "layers": [MIDDLE], "start": 0.0, "end": 1.0}
            assert resolved.guidance_extra == {"paint.fade": wanted}
        assert not np.array_equal(pixels(tiny, guidance_extra=typed), plain)
        assert np.array_equal(pixels(tiny, guidance_extra={"paint.fade": 0}), plain)
        with pytest.raises(InvalidRequest, match="no guidance called 'paint'"):
            tiny.resolve("generate", {**TINY, "guidance_extra": {"paint": {"fad": 1}}})
    finally:
        tiny.registry = registry
