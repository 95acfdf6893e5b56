"""The denoiser's sense of place: how it is measured, and that a network with zeros at its border learns it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gesso.training.place import PlaceConfig, coordinates, listening, place_loss, unplaced
from gesso_plugins.starter.config import TextConfig, UnetConfig
from gesso_plugins.starter.networks import build_unet


def test_coordinates_tell_all_places_apart_and_wrap() -> None:
    places = coordinates(8, 16)
    assert places.shape == (128, 2 * 2 + 2 * 3)
    assert torch.pdist(places).min() > 0.1
    assert torch.allclose(places.mean(0), torch.zeros(places.shape[1]), atol=1e-6)
    assert torch.allclose(places.square().mean(0), torch.full((places.shape[1],), 0.5), atol=1e-6)
    assert coordinates(2, 2).shape == (4, 0)


def test_features_that_say_their_place_leave_nothing_and_noise_leaves_all() -> None:
    torch.manual_seed(1)
    places = coordinates(8, 8).T.reshape(1, -1, 8, 8).repeat(16, 1, 1, 1)
    mixed = torch.einsum("kc,ncij->nkij", torch.randn(12, places.shape[1]), places) + 3
    assert unplaced(mixed) < 0.02
    assert unplaced(torch.randn(16, 8, 8, 8)) > 0.95
    half = torch.cat([places[:, :4], torch.randn(16, 4, 8, 8)], 1)
    assert unplaced(half) == pytest.approx(0.5, abs=0.05)


def test_zeros_at_the_border_carry_it_where_it_is_asked_for() -> None:
    torch.manual_seed(2)
    network = nn.Sequential(*(part for width in (4, 16, 16, 16) for part in (nn.Conv2d(width, 16, 3, padding=1), nn.SiLU())))
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)

    def step() -> float:
        loss = place_loss([network(torch.randn(16, 4, 8, 8))])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return float(loss.detach())

    first = step()
    for _ in range(150):
        last = step()
    assert first > 0.7
    assert last < 0.4 * first


def test_the_parts_named_are_heard_while_it_lasts() -> None:
    text = TextConfig(width=16, heads=2)
    unet = build_unet(UnetConfig(channels=(8, 16), heads=2), text, 4, 16)
    config = PlaceConfig()
    inputs = (torch.randn(2, 4, 16, 16), torch.tensor([5, 9]), torch.randn(2, 8, 16))
    with listening(unet, config) as heard:
        unet(*inputs)
    assert [tuple(features.shape[1:]) for features in heard] == [(16, 8, 8), (16, 8, 8), (16, 16, 16)]
    assert 0 < float(place_loss(heard).detach()) <= 1
    unet(*inputs)
    assert len(heard) == len(config.parts)
