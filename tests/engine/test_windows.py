"""Windows cover every place at every step, put together what was cut apart, and leave no grid where a hard cut would."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gesso.engine import All, Decode, Denoised, ModelRef, Windows, in_windows, windowed

sides = st.integers(1, 70)
MODEL = ModelRef("toy", "0")


def answered(generator: Generator[Any, Any, Any], reply: Any) -> Any:
    """Run a generator whose calls are answered by a function of each, and whose generators are run."""
    try:
        asked = next(generator)
        while True:
            assert isinstance(asked, All)
            found = tuple(answered(item, reply) if isinstance(item, Generator) else reply(item) for item in asked.items)
            asked = generator.send(found)
    except StopIteration as end:
        return end.value


@given(sides, sides, st.integers(2, 80), st.booleans(), st.booleans(), st.integers(0, 9))
def test_every_place_is_covered_and_put_back(height: int, width: int, side: int, x: bool, y: bool, step: int) -> None:
    windows = Windows(height, width, side, (x, y))
    whole = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width)
    places = windows.places(step)
    parts = [whole[:, :, rows[:, None], columns] for rows, columns in places]
    assert all(len(rows) <= side and len(columns) <= side for rows, columns in places)
    assert torch.allclose(windows.joined(places, parts), whole)


def test_windows_do_not_stand_still() -> None:
    windows = Windows(100, 100, 32, (True, False))
    starts = {tuple((int(rows[0]), int(columns[0])) for rows, columns in windows.places(step)) for step in range(12)}
    assert len(starts) == 12


@pytest.mark.parametrize("scale", [1, 3, -2])
def test_calls_on_windows_are_one_call_on_the_whole(scale: int) -> None:
    """Answers finer than what is asked of, as a decoder gives, and coarser, as an encoder does."""
    windows = Windows(20, 26, 8, (False, True))
    coarse = torch.rand(1, 2, 20, 26)
    asked = torch.nn.functional.interpolate(coarse, scale_factor=2) if scale < 0 else coarse

    def reply(call: Decode) -> Tensor:
        return call.latent[:, :, ::2, ::2] if scale < 0 else torch.nn.functional.interpolate(call.latent, scale_factor=scale)

    made = answered(in_windows(windows, lambda part: Decode(MODEL, part), asked, scale), reply)
    wanted = coarse if scale < 0 else torch.nn.functional.interpolate(coarse, scale_factor=scale)
    assert torch.allclose(made, wanted, atol=1e-6)


@given(sides, sides, st.integers(2, 40), st.booleans(), st.booleans(), st.sampled_from([8, 16, 32]))
def test_an_autoencoder_s_windows_cover_every_place_too(height: int, width: int, side: int, x: bool, y: bool, factor: int) -> None:
    windows = Windows(height, width, side, (x, y)).autoencoding(factor)
    assert windows.side == max(side, 768 // factor)
    whole = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width)
    parts = [whole[:, :, rows[:, None], columns] for rows, columns in windows.places()]
    assert torch.allclose(windows.joined(windows.places(), parts), whole)


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("width", [90, 230])
def test_what_an_autoencoder_makes_of_the_edges_of_its_windows_is_not_seen(wraps: bool, width: int) -> None:
    """Padding spoils seven places along every edge. None of that is left but at the border of a picture that does not wrap."""
    windows = Windows(width, width, 24, (wraps, wraps))

    def reply(call: Decode) -> Tensor:
        spoilt = torch.ones_like(call.latent)
        spoilt[..., 7:-7, 7:-7] = 0
        return spoilt

    asked = torch.zeros(1, 1, width, width)
    made = answered(in_windows(windows.autoencoding(8), lambda part: Decode(MODEL, part), asked), reply)
    inside = made if wraps else made[..., 7:-7, 7:-7]
    assert inside.max() < 0.02
    assert answered(in_windows(windows, lambda part: Decode(MODEL, part), asked), reply)[..., 7:-7, 7:-7].max() > 0.3, "a grid"


def test_a_model_that_closes_an_axis_itself_sees_all_of_it_at_once() -> None:
    closed = Windows(60, 16, 16, (True, False)).autoencoding(8)
    assert [len(columns) for _, columns in closed.places()] == [16]
    cut = Windows(60, 40, 16, (True, False)).autoencoding(8)
    assert [int(columns[0]) for _, columns in cut.places()] == [0, 20], "the edge of each is the middle of the other"


def steps_across(picture: Tensor) -> Tensor:
    """The mean step from each column to the next."""
    return picture.diff(dim=3).abs().mean(dim=(0, 1, 2))


def test_no_grid_is_left_of_a_model_that_is_off_by_another_amount_in_each_window() -> None:
    """The worst that windows can do: each has a tone of its own. A hard cut shows it, the blend does not."""
    windows, seed = Windows(96, 96, 32), 0
    grain = torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(1)) * 0.05

    def off(x: Tensor, sigma: float) -> Generator[Any, Any, Denoised]:
        nonlocal seed
        seed += 1
        tone = torch.rand(1, generator=torch.Generator().manual_seed(seed))
        yield from ()
        return Denoised(x + tone, x + tone)

    hard = grain.clone()
    for top in range(0, 96, 32):
        for left in range(0, 96, 32):
            hard[..., top : top + 32, left : left + 32] += torch.rand(1, generator=torch.Generator().manual_seed(top * 7 + left))
    shown = steps_across(hard)
    assert shown[[31, 63]].max() > 5 * shown.median()

    denoiser, x = windowed(off, windows), grain
    for _ in range(6):
        x = x + (answered(denoiser(x, 1.0), None).denoised - x) / 6
    shown = steps_across(x)
    assert shown.max() < 2 * shown.median()
