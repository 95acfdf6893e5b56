"""The fixtures for plugin authors, in a project of their own, and checks that find what they are for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesso.plugin import ScorerSpec, UpscalerSpec
from gesso.testing import Studio, check_operation, check_scorer, check_upscaler

PROJECT = """
import torch
from gesso.testing import trace
from gesso.plugin import sampler

def test_a_denoiser(fake_denoiser, studio):
    assert trace(studio.registry.sampler("euler"), fake_denoiser(), torch.ones(1, 4, 2, 2), [2.0, 1.0, 0.0]).levels == (2.0, 1.0)

def test_a_daemon(gesso_daemon):
    job = gesso_daemon.submit("generate", prompt="moss", model="procedural", width=32, height=32, seed=1)
    assert job.result().images[0].width == 32
"""


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    made = Studio()
    yield made
    made.close()


@pytest.mark.slow
def test_a_project_gets_studio_denoiser_and_daemon(tmp_path: Path) -> None:
    (tmp_path / "test_project.py").write_text(PROJECT)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "gesso.testing.fixtures", str(tmp_path)],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "GESSO_HOME"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["sharpness", "seam"])
def test_scorers_that_ship_conform(studio: Studio, name: str) -> None:
    check_scorer(studio, studio.registry.scorer(name))


@pytest.mark.parametrize("name", ["lanczos", "back_projection"])
def test_upscalers_that_ship_conform(studio: Studio, name: str) -> None:
    check_upscaler(studio, studio.registry.upscaler(name))


def scores(function: Callable[[list[np.ndarray]], list[Any]]) -> ScorerSpec:
    def score(ctx: Any) -> Any:
        yield from ()
        return function(ctx.pictures)

    return ScorerSpec("odd", score, "Odd", "none")


def scribbling(pictures: list[np.ndarray]) -> list[float]:
    for picture in pictures:
        picture[:] = 0
    return [0.0] * len(pictures)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda pictures: [0.5], "gave 1 scores for 3"),
        (lambda pictures: [float("nan")] * len(pictures), "no finite number"),
        (lambda pictures: [1] * len(pictures), "int where float"),
        (lambda pictures: [float(i) for i, _ in enumerate(pictures)], "depends on the order"),
        (lambda pictures: [float(len(pictures))] * len(pictures), "depends on the pictures beside"),
        (scribbling, "writes into the pictures"),
    ],
)
def test_a_scorer_that_cannot_be_relied_on_is_found_out(studio: Studio, function: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_scorer(studio, scores(function))


def bright(ctx: Any) -> np.ndarray:
    height, width, channels = ctx.pixels.shape
    return np.ones((height * ctx.scale, width * ctx.scale, channels), np.float32)


@pytest.mark.parametrize(("make", "said"), [(lambda ctx: ctx.pixels, "was expected"), (bright, "brightness")])
def test_an_upscaler_that_cannot_be_relied_on_is_found_out(studio: Studio, make: Any, said: str) -> None:
    def upscale(ctx: Any) -> Any:
        yield from ()
        return make(ctx)

    with pytest.raises(AssertionError, match=said):
        check_upscaler(studio, UpscalerSpec("odd", upscale, "Odd", "none"))


def test_an_operation_that_ships_conforms(studio: Studio) -> None:
    made = check_operation(studio, "generate", {"prompt": "red brick", "model": "procedural", "width": 32, "height": 32, "seed": 1})
    assert made.outputs[0].pixels.shape == (32, 32, 3)
