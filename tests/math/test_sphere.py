"""Moving along the sphere, against equations written out by hand in two and three dimensions."""

from __future__ import annotations

import math

import pytest
import torch

from gesso.math import along, slerp


def turned(angle: float, length: float = 1.0) -> torch.Tensor:
    return torch.tensor([[length * math.cos(angle), length * math.sin(angle)]])


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_directions_turn_evenly_and_lengths_are_mixed(share: float) -> None:
    """In the plane slerp is a turn by a share of the angle; a linear mix, normalised, would not turn evenly."""
    found = slerp(turned(0.3, 2.0), turned(1.9, 6.0), share)
    assert torch.allclose(found, turned(0.3 + share * 1.6, 2.0 + share * 4.0), atol=1e-6)


def test_rows_move_by_themselves() -> None:
    start, end = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))
    rows = torch.cat([slerp(a[None], b[None], 0.3) for a, b in zip(start, end, strict=True)])
    assert torch.allclose(slerp(start, end, 0.3), rows)


def test_the_formula_in_three_dimensions() -> None:
    a, b = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.6, 0.8, 0.0]])
    w = math.acos(0.6)
    expected = [math.sin(0.75 * w) / math.sin(w) + 0.6 * math.sin(0.25 * w) / math.sin(w), 0.8 * math.sin(0.25 * w) / math.sin(w), 0.0]
    assert slerp(a, b, 0.25)[0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("end", [[2.0, 0.0], [-2.0, 0.0]])
def test_one_direction_and_opposite_ones_stay_finite(end: list[float]) -> None:
    found = slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([end]), 0.5)
    assert found[0].tolist() == pytest.approx([1.5 if end[0] > 0 else 0.0, 0.0])


def test_a_text_diff_is_the_paper_s() -> None:
    """Ramesh et al. 2022, section 3.3, by hand: z_d = (0, 1) - (1, 0), normalised, lies at 135 degrees; z at 15, of length 3."""
    before, after = torch.tensor([[5.0, 0.0]]), torch.tensor([[0.0, 0.2]])
    found = along(turned(math.radians(15), 3.0), before, after, 0.4)
    assert torch.allclose(found, turned(math.radians(15 + 0.4 * 120), 3.0), atol=1e-5)
