"""The guidances, each against what it is compared with: diffusers' functions, closed forms, and what must not change."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch import Tensor

from gesso.engine import NEGATIVE, PROMPT, Moment, Predicted, Row
from gesso.model import Parametrisation, Perturbation
from gesso_plugins.guidance.plugin import GUIDANCES
from gesso_plugins.guidance.ramps import ramped
from gesso_plugins.guidance.rescale import network

SPECS = {spec.name: spec for spec in GUIDANCES}
SIGMA = 1.7
WEAK = Row(perturb=Perturbation("attention", ("mid",)))


def noise(seed: int) -> Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def moment(prediction: Any = "epsilon", fraction: float = 0.5) -> Moment:
    return Moment(noise(0) * SIGMA, SIGMA, fraction, Parametrisation(prediction, (0.03, 14.6)))


ROWS = {PROMPT: noise(1), NEGATIVE: noise(2), WEAK: noise(3)}


def applied(name: str, at: Moment | None = None, x0: Tensor | None = None, **options: Any) -> tuple[tuple[Row, ...], Tensor]:
    """What a guidance asks for, and what it makes of it."""
    generator = SPECS[name].function(at or moment(), **options)
    asked = next(generator)
    rows = {row: ROWS[row] for row in (PROMPT, *asked)}
    with pytest.raises(StopIteration) as end:
        generator.send(Predicted(ROWS[PROMPT] if x0 is None else x0, rows))
    return asked, end.value.value


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


def test_classifier_free_is_its_formula_and_asks_for_nothing_at_one() -> None:
    asked, x0 = applied("classifier_free", scale=4.0)
    assert asked == (NEGATIVE,)
    assert torch.equal(x0, ROWS[NEGATIVE] + 4.0 * (ROWS[PROMPT] - ROWS[NEGATIVE]))
    asked, x0 = applied("classifier_free", scale=1.0)
    assert asked == ()
    assert x0 is ROWS[PROMPT]
    assert applied("classifier_free", moment(fraction=0.0), scale=4.0, schedule="linear")[0] == ()


@pytest.mark.parametrize(("name", "kind"), [("perturbed_attention", "attention"), ("skip_layer", "skip")])
def test_leading_away_adds_to_what_was_there(name: str, kind: Any) -> None:
    weak = Row(perturb=Perturbation(kind, ("mid",)))
    ROWS.setdefault(weak, noise(4))
    before = noise(9)
    asked, x0 = applied(name, x0=before, scale=3.0, layers=("mid",))
    assert asked == (weak,)
    assert torch.equal(x0, before + 3.0 * (ROWS[PROMPT] - ROWS[weak]))
    assert applied(name, x0=before, scale=0.0, layers=("mid",)) == ((), before)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample", "flow"])
@pytest.mark.parametrize("phi", [0.3, 0.7, 1.0])
def test_rescale_equals_that_of_diffusers_on_the_networks_prediction(prediction: str, phi: float) -> None:
    at = moment(prediction)
    shift, factor = network(at)
    own, guided = noise(5), noise(6) * 3
    ROWS[PROMPT], before = shift * at.x + factor * own, ROWS[PROMPT]
    try:
        asked, x0 = applied("rescale", at, shift * at.x + factor * guided, phi=phi)
    finally:
        ROWS[PROMPT] = before
    wanted = rescale_noise_cfg(guided, own, guidance_rescale=phi)
    assert asked == ()
    assert error((x0 - shift * at.x) / factor, wanted) < 1e-5
    assert not torch.allclose(wanted, guided)


def test_rescale_leaves_alone_what_nothing_guided() -> None:
    assert applied("rescale", phi=0.7)[1] is ROWS[PROMPT]
    assert applied("rescale", x0=ROWS[NEGATIVE], phi=0.0)[1] is ROWS[NEGATIVE]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample", "flow"])
def test_the_network_prediction_is_that_of_its_definition(prediction: str) -> None:
    """x is made of a known x0 and noise; the network's prediction of these gives x0 back."""
    x0, unit = noise(7), noise(8)
    sigma = 0.6
    x = (1 - sigma) * x0 + sigma * unit if prediction == "flow" else x0 + sigma * unit
    alpha, deviation = 1 / math.sqrt(1 + sigma**2), sigma / math.sqrt(1 + sigma**2)
    made = {"epsilon": unit, "v_prediction": alpha * unit - deviation * x0, "sample": x0, "flow": unit - x0}[prediction]
    shift, factor = network(Moment(x, sigma, 0.5, Parametrisation(prediction, (0.03, 14.6))))  # type: ignore[arg-type]
    assert error(shift * x + factor * made, x0) < 1e-5


@pytest.mark.parametrize("limit", [0.5, 1.0])
def test_dynamic_thresholding_with_a_limit_equals_that_of_diffusers(limit: float) -> None:
    scheduler = DDPMScheduler(thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=1e6)
    x0 = noise(6) * 3
    asked, found = applied("dynamic_thresholding", x0=x0, percentile=0.9, limit=limit)
    assert asked == ()
    assert error(found / limit, scheduler._threshold_sample(x0 / limit)) < 1e-5


def test_dynamic_thresholding_brings_each_channel_into_the_range_of_the_mimicked_scale() -> None:
    strong = ROWS[NEGATIVE] + 12.0 * (ROWS[PROMPT] - ROWS[NEGATIVE])
    for mimic, asked_for in ((1.0, ()), (3.0, (NEGATIVE,))):
        asked, found = applied("dynamic_thresholding", x0=strong, mimic=mimic)
        like = ROWS[NEGATIVE] + mimic * (ROWS[PROMPT] - ROWS[NEGATIVE])
        spread = (found - strong.mean((2, 3), keepdim=True)).abs().amax((2, 3))
        assert asked == asked_for
        torch.testing.assert_close(spread, (like - like.mean((2, 3), keepdim=True)).abs().amax((2, 3)), rtol=1e-5, atol=1e-5)
    unchanged = applied("dynamic_thresholding", x0=ROWS[PROMPT], percentile=1.0)[1]
    assert error(unchanged, ROWS[PROMPT]) < 1e-5


@pytest.mark.parametrize("ramp", ["constant", "linear", "cosine"])
def test_ramps_have_the_scale_as_their_mean_and_never_fall(ramp: Any) -> None:
    for neutral in (0.0, 1.0):
        values = [ramped(7.0, ramp, (i + 0.5) / 1000, neutral) for i in range(1000)]
        assert sum(values) / 1000 == pytest.approx(7.0)
        assert values == sorted(values)
        assert values[0] == pytest.approx(7.0 if ramp == "constant" else neutral, abs=0.02)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("classifier_free", {"scale": -1}),
        ("classifier_free", {"schedule": "sudden"}),
        ("rescale", {"phi": 1.5}),
        ("rescale", {"scale": 1.0}),
        ("skip_layer", {"layers": "mid"}),
        ("dynamic_thresholding", {"percentile": 0}),
        ("dynamic_thresholding", {"limit": float("nan")}),
    ],
)
def test_options_out_of_bounds_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        SPECS[name].options(**options)
    assert set(SPECS[name].options().model_dump()) == set(SPECS[name].options.model_fields)
