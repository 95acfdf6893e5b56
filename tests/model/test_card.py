"""Cards: sizes that a model cannot make are refused with the nearest that it can."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesso.errors import InvalidRequest
from gesso.model import Conditioning, Defaults, Latent, Limits, ModelCard, Parametrisation, Seamless, Shift

CARD = ModelCard("m", "f", "0" * 64, "M", None, frozenset({"denoise"}), Defaults(width=256, height=128), Limits(64, 512, 8))


@pytest.mark.parametrize(("asked", "size"), [((None, None), (256, 128)), ((64, None), (64, 128)), ((512, 72), (512, 72))])
def test_possible_sizes_pass(asked: tuple[int | None, int | None], size: tuple[int, int]) -> None:
    assert CARD.size(*asked) == size


@pytest.mark.parametrize(
    ("asked", "field", "nearest"),
    [((63, 64), "width", 64), ((16, 64), "width", 64), ((64, 4096), "height", 512), ((100, 64), "width", 104), ((64, 97), "height", 96)],
)
def test_others_are_refused_with_the_nearest(asked: tuple[int, int], field: str, nearest: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CARD.size(*asked)
    assert caught.value.field == field
    assert caught.value.details["nearest"] == nearest
    assert str(nearest) in caught.value.message


@given(st.integers(1, 5000), st.integers(1, 64), st.integers(1, 300), st.integers(301, 4096))
def test_the_nearest_size_is_possible_and_no_possible_one_is_nearer(side: int, multiple: int, smallest: int, largest: int) -> None:
    possible = [n for n in range(smallest, largest + 1) if n % multiple == 0]
    if possible:
        nearest = Limits(smallest, largest, multiple).nearest(side)
        assert nearest in possible
        assert abs(nearest - side) == min(abs(n - side) for n in possible)


def test_latents_and_levels() -> None:
    assert Latent(4, 8).shape(512, 256) == (4, 32, 64)
    flow = Parametrisation("flow", (0.1, 1.0))
    assert (flow.sigma_min, flow.sigma_max, flow.is_flow) == (0.1, 1.0, True)
    assert Seamless(True, False).digest != Seamless(True, True).digest


def test_layouts_agree_only_where_rows_may_share_a_forward() -> None:
    torch = pytest.importorskip("torch")
    one, two = Conditioning(torch.zeros(1, 77, 8)), Conditioning(torch.ones(1, 77, 8))
    assert one.layout() == two.layout()
    assert one.layout() != Conditioning(torch.zeros(1, 154, 8)).layout()
    assert one.layout() != Conditioning(torch.zeros(1, 77, 8), torch.zeros(1, 8)).layout()
    assert one.layout() != Conditioning(torch.zeros(1, 77, 8), extras={"ids": torch.zeros(1, 6)}).layout()


def test_the_levels_of_a_flow_move_with_the_size() -> None:
    trained = Parametrisation("flow", tuple(t / 1000 for t in range(1, 1001)))
    card = ModelCard("m", "f", "0" * 64, "M", None, frozenset({"denoise"}), parametrisation=trained, shift=Shift(16))
    small, large = card.levels(256, 256), card.levels(1024, 1024)
    assert (small.sigma_max, large.sigma_max) == (1.0, 1.0)
    assert small.sigmas[499] == pytest.approx(math.exp(0.5) / (math.exp(0.5) + 1))
    assert large.sigmas[499] == pytest.approx(math.exp(1.15) / (math.exp(1.15) + 1))
    assert Shift(16, terminal=0.02).apply(trained, 512, 512).sigma_min == pytest.approx(0.02)
