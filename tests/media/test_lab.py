"""How far two colours are apart is what the standard says of them."""

from __future__ import annotations

import numpy as np
import pytest

from gesso.media.lab import delta_e, from_lab, to_lab

PAIRS = [  # of Sharma, Wu and Dalal 2005, table 1
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0009), 7.1792),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0011), 7.2195),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("one", "other", "apart"), PAIRS)
def test_colours_are_as_far_apart_as_published(one: tuple[float, ...], other: tuple[float, ...], apart: float) -> None:
    assert delta_e(np.array(one), np.array(other)) == pytest.approx(apart, abs=5e-5)
    assert delta_e(np.array(other), np.array(one)) == pytest.approx(apart, abs=5e-5)


def test_colours_come_back_and_are_nowhere_from_themselves() -> None:
    colours = np.random.default_rng(0).uniform(0, 1, (7, 9, 3)).astype(np.float32)
    assert np.abs(from_lab(to_lab(colours)) - colours).max() < 1e-3
    assert not delta_e(to_lab(colours), to_lab(colours)).any()
