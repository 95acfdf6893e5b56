"""Best of N: the chosen pictures are what they would be alone, pruning spends less on the rest, and a scorer that fails costs its score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesso.engine import Progress, Warn
from gesso.errors import InvalidRequest
from gesso.plugin import SamplerSpec, ScoreContext, ScorerSpec
from gesso.plugin.choosing import Scores, best, survivors

TINY = {"prompt": "mossy brick", "model": "tiny", "width": 32, "height": 16, "steps": 4, "seed": 7, "sampler": "euler"}
STONE = {"prompt": "mossy stone", "model": "procedural", "width": 32, "height": 32, "seed": 7}


@pytest.fixture
def tiny(studio: Any, pipelines: Callable[[str], Path]) -> Any:
    studio.add("tiny", pipelines("epsilon"))
    return studio


@pytest.fixture
def scorer(studio: Any) -> Iterator[Callable[..., list[ScoreContext]]]:
    """``scorer("name", function)`` registers one for the test; what it returns collects what it was asked."""
    kept = studio.registry.scorers.copy()

    def register(name: str, function: Callable[[ScoreContext], Any], prompted: bool = False) -> list[ScoreContext]:
        asked: list[ScoreContext] = []

        def score(ctx: ScoreContext) -> Any:
            asked.append(ctx)
            yield from ()
            return function(ctx)

        studio.registry.scorers.add(name, ScorerSpec(name, score, name, "none", prompted), "scoring")
        return asked

    yield register
    studio.registry.scorers = kept


def brightness(ctx: ScoreContext) -> list[float]:
    return [float(picture.mean()) / 255 for picture in ctx.pictures]


def evaluations(events: list[Any]) -> int:
    """Model evaluations: the progress of a picture that was given up is told once more, at 1."""
    return sum(isinstance(event, Progress) and event.sigma > 0 for event in events)


def test_the_best_are_kept_in_order_and_are_what_they_would_be_alone(studio: Any) -> None:
    every = studio.make("generate", {**STONE, "count": 6, "score": {"sharpness": 1}}).outputs
    assert [output.index for output in every] == list(range(6)), "scores alone change no order"
    made = studio.make("generate", {**STONE, "best_of": 6, "keep": 2, "score": {"sharpness": 1}}).outputs
    first, second = sorted(every, key=lambda output: -output.score)[:2]
    assert [output.seed for output in made] == [first.seed, second.seed]
    assert [output.index for output in made] == [0, 1]
    assert [output.info["scores"] for output in made] == [{"sharpness": first.score}, {"sharpness": second.score}]
    again = studio.make("generate", made[0].params).outputs
    assert len(again) == 1
    assert np.array_equal(again[0].pixels, made[0].pixels)
    assert again[0].score is None


def test_all_maps_of_a_material_go_with_the_one_that_is_scored(studio: Any) -> None:
    params = {"prompt": "brick", "width": 32, "height": 32, "seed": 3, "best_of": 4, "score": {"sharpness": 1, "seam": 0.5}}
    made = studio.make("texture", params).outputs
    assert len(made) == 6
    assert len({(output.index, output.seed, output.score) for output in made}) == 1
    parts = made[0].info["scores"]
    assert made[0].score == pytest.approx((parts["sharpness"] + 0.5 * parts["seam"]) / 1.5)


def test_pruning_closes_losers_and_leaves_the_winner_as_it_is(tiny: Any, scorer: Any) -> None:
    asked = scorer("bright", brightness)
    whole = tiny.make("generate", {**TINY, "best_of": 4, "score": {"bright": 1}})
    assert evaluations(whole.events) == 16
    asked.clear()
    cut = tiny.make("generate", {**TINY, "best_of": 4, "score": {"bright": 1}, "prune": [0.25, 0.5]})
    assert evaluations(cut.events) == 4 * 1 + 2 * 1 + 1 * 2
    assert [(len(ctx.pictures), ctx.progress) for ctx in asked] == [(4, 0.25), (2, 0.5), (1, 1.0)]
    (winner,) = cut.outputs
    alone = tiny.make("generate", winner.params).outputs[0]
    assert np.array_equal(alone.pixels, winner.pixels)
    finished = {event.image for event in cut.events if isinstance(event, Progress) and event.fraction == 1}
    assert finished == {0, 1, 2, 3}, "pictures that were given up are no longer waited for"


def test_losers_are_closed_when_they_have_lost(tiny: Any, scorer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    euler = tiny.registry.sampler("euler")

    def watched(x: Any, sigmas: Any, *, noise: Any, parametrisation: Any) -> Any:
        try:
            return (yield from euler(x, sigmas, noise=noise, parametrisation=parametrisation))
        finally:
            closed.append(1)

    spec = SamplerSpec("watched", watched, "Watched", "none")
    monkeypatch.setattr(type(tiny.registry), "sampler", lambda *_: spec)
    monkeypatch.setattr(type(tiny.registry), "sampling", lambda *_: ("watched", "karras"))
    seen: list[int] = []

    def counting(ctx: ScoreContext) -> list[float]:
        seen.append(len(closed))
        return brightness(ctx)

    scorer("counting", counting)
    tiny.make("generate", {**TINY, "best_of": 4, "score": {"counting": 1}, "prune": [0.25, 0.5]})
    assert [number - seen[0] for number in seen] == [0, 2, 4], "two after the first look, one more after the second, then the winner"


def test_the_best_drafts_are_made_in_full_and_are_what_they_would_be_alone(tiny: Any, scorer: Any) -> None:
    asked = scorer("bright", brightness)
    drafts = tiny.make("generate", {**TINY, "steps": 2, "count": 4, "score": {"bright": 1}}).outputs
    asked.clear()
    made = tiny.make("generate", {**TINY, "best_of": 4, "score": {"bright": 1}, "draft": 2})
    (kept,) = made.outputs
    assert kept.seed == max(drafts, key=lambda output: output.score).seed
    assert [np.array_equal(a, b.pixels) for a, b in zip(asked[0].pictures, drafts, strict=True)] == [True] * 4
    assert asked[0].progress == 0.5
    alone = tiny.make("generate", {**TINY, "seed": kept.seed}).outputs[0]
    assert np.array_equal(kept.pixels, alone.pixels)
    assert kept.params == alone.params
    assert evaluations(made.events) == 4 * 2 + 4


def test_progress_of_drafts_goes_on_and_never_back(tiny: Any, scorer: Any) -> None:
    scorer("bright", brightness)
    made = tiny.make("generate", {**TINY, "best_of": 4, "score": {"bright": 1}, "draft": 2, "prune": [0.5]})
    assert evaluations(made.events) == 4 * 2 + 2 * 2 + 2, "four drafts, two go on, one of them to its end"
    told: dict[int, list[Progress]] = {}
    for event in made.events:
        if isinstance(event, Progress):
            told.setdefault(event.image, []).append(event)
    assert len(told) == 4
    for steps in told.values():
        assert [each.fraction for each in steps] == sorted(each.fraction for each in steps)
        assert steps[-1].fraction == 1.0
    (winner,) = [steps for steps in told.values() if steps[-1].sigma > 0]
    assert [(each.step, each.total) for each in winner] == [(step, 6) for step in range(1, 7)]


def test_a_scorer_that_fails_costs_its_score_and_a_warning(studio: Any, scorer: Any) -> None:
    scorer("bright", brightness)
    scorer("broken", lambda ctx: 1 / 0)
    scorer("short", lambda ctx: [])
    scorer("wordy", brightness, prompted=True)
    made = studio.make("generate", {**STONE, "best_of": 3, "score": {"broken": 5, "bright": 1, "short": 1, "wordy": 1}})
    assert list(made.outputs[0].info["scores"]) == ["bright", "wordy"]
    assert made.outputs[0].score == pytest.approx(made.outputs[0].info["scores"]["bright"])
    said = [event.message for event in made.events if isinstance(event, Warn)]
    assert any("'broken' failed, and its score is missing: division by zero" in message for message in said)
    assert any("'short' failed" in message and "0 scores for 3 pictures" in message for message in said)

    alone = studio.make("generate", {**STONE, "best_of": 3, "keep": 2, "score": {"broken": 1}})
    assert [(output.seed, output.score) for output in alone.outputs] == [(7, None), (8, None)], "nothing to choose by: the first"


def test_a_picture_without_a_number_comes_last(studio: Any, scorer: Any) -> None:
    def odd(ctx: ScoreContext) -> list[float]:
        return [float("nan"), *brightness(ctx)[1:]] if len(ctx.pictures) > 1 else [0.1]

    scorer("odd", odd)
    made = studio.make("generate", {**STONE, "best_of": 3, "keep": 3, "score": {"odd": 1}})
    assert made.outputs[-1].seed == 7
    assert made.outputs[-1].score is None
    assert any("no number for 1 of 3 pictures" in event.message for event in made.events if isinstance(event, Warn))


def test_where_no_scorer_is_named_one_that_knows_words_is_taken(studio: Any, scorer: Any) -> None:
    assert studio.resolve("generate", {**STONE, "best_of": 3})[0].score == {"clip": 1.0}
    studio.registry.scorers = type(studio.registry.scorers)("scorer", "score")
    scorer("plain", brightness)
    assert studio.resolve("generate", {**STONE, "best_of": 3})[0].score == {"plain": 1.0}
    scorer("wordy", brightness, prompted=True)
    assert studio.resolve("generate", {**STONE, "best_of": 3})[0].score == {"wordy": 1.0}


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"keep": 2}, "keep", "chooses among several"),
        ({"prune": [0.5]}, "prune", "chooses among several"),
        ({"best_of": 3, "keep": 4}, "keep", "4 pictures cannot be kept of 3"),
        ({"best_of": 5, "keep": 4, "count": 3}, "keep", "Both count"),
        ({"best_of": 101}, "best_of", "100"),
        ({"best_of": 3, "score": {"sharpnes": 1}}, "score", "Did you mean sharpness"),
        ({"best_of": 3, "score": {"seam": 0}}, "score", "are zero"),
        ({"best_of": 3, "score": {"seam": float("nan")}}, "score.seam", "finite"),
        ({"best_of": 3, "seed": 2**53 - 2}, "seed", "would be over"),
        ({"draft": 2}, "draft", "chooses among several"),
        ({"best_of": 3, "draft": 0}, "draft", "greater than or equal to 1"),
        ({"best_of": 3, "prune": [0.5, 0.5]}, "prune", "must rise"),
        ({"best_of": 3, "prune": [1.0]}, "prune.0", "less than 1"),
    ],
)
def test_each_mistake_names_its_field(tiny: Any, change: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        tiny.resolve("generate", {**TINY, **change})
    assert caught.value.field == field


def test_what_cannot_be_pruned_says_so(tiny: Any) -> None:
    with pytest.raises(InvalidRequest, match="no picture on its way") as rendered:
        tiny.resolve("generate", {**STONE, "best_of": 3, "prune": [0.5]})
    with pytest.raises(InvalidRequest, match="cannot say how many evaluations") as adaptive:
        tiny.make("generate", {**TINY, "best_of": 2, "prune": [0.5], "sampler": "dpm_adaptive"})
    assert (rendered.value.field, adaptive.value.field) == ("prune", "prune")


def test_what_cannot_be_drafted_says_so(tiny: Any) -> None:
    with pytest.raises(InvalidRequest, match="no picture on its way") as rendered:
        tiny.resolve("generate", {**STONE, "best_of": 3, "draft": 2})
    with pytest.raises(InvalidRequest, match="saves nothing where 4 are taken") as long:
        tiny.resolve("generate", {**TINY, "best_of": 3, "draft": 4})
    with pytest.raises(InvalidRequest, match="how many evaluations") as adaptive:
        tiny.make("generate", {**TINY, "best_of": 2, "draft": 2, "sampler": "dpm_adaptive"})
    assert [fault.value.field for fault in (rendered, long, adaptive)] == ["draft"] * 3


def test_resolving_again_changes_nothing(tiny: Any) -> None:
    resolved, _ = tiny.resolve("generate", {**TINY, "count": 2, "best_of": 5, "prune": [0.25, 0.75]})
    assert (resolved.keep, resolved.count) == (2, 1)
    assert tiny.resolve("generate", resolved.model_dump(mode="json"))[0] == resolved


def test_survivors_fall_by_equal_factors_to_those_that_are_kept() -> None:
    assert survivors(16, 1, 2) == [4, 1]
    assert survivors(16, 4, 2) == [8, 4]
    assert survivors(3, 3, 2) == [3, 3]
    assert best([Scores(0.1), Scores(None), Scores(0.9), Scores(0.1)], 4) == [2, 0, 3, 1]
