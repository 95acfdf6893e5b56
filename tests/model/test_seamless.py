"""Circular padding: it tiles, it is taken back without a trace, and it stays on the axes asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from gesso.model.seamless import make_seamless, pad_axes


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 8, 5, padding=2), nn.SiLU(), nn.Conv2d(8, 3, 1))


def autoencoder() -> nn.Module:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        latent_channels=4,
    ).eval()


@torch.no_grad()
@pytest.mark.parametrize(("x", "y"), [(True, True), (True, False), (False, True)])
def test_a_roll_of_the_input_is_a_roll_of_the_output_on_the_chosen_axes(x: bool, y: bool) -> None:
    network, image = small_network(), torch.randn(2, 3, 12, 16)
    padding = make_seamless(network, x, y)
    for axis, wraps in ((3, x), (2, y)):
        same = torch.allclose(network(image.roll(5, axis)), network(image).roll(5, axis), atol=1e-5)
        assert same == wraps
    padding.eject()


@torch.no_grad()
def test_ejecting_restores_equal_bits() -> None:
    network, image = autoencoder(), torch.randn(1, 3, 16, 16)
    before = network.encode(image).latent_dist.mean, network.decode(network.encode(image).latent_dist.mean).sample
    padding = make_seamless(network)
    assert not torch.equal(network.encode(image).latent_dist.mean, before[0])
    padding.eject()
    after = network.encode(image).latent_dist.mean, network.decode(before[0]).sample
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    assert not any("_conv_forward" in vars(part) or "forward" in vars(part) for part in network.modules())


@torch.no_grad()
def test_the_encoder_of_an_autoencoder_tiles_although_it_pads_by_hand() -> None:
    network, image = autoencoder(), torch.randn(1, 3, 16, 16)
    padding = make_seamless(network)
    latents = network.encode(image).latent_dist.mean
    assert torch.allclose(network.encode(image.roll((4, 2), (2, 3))).latent_dist.mean, latents.roll((2, 1), (2, 3)), atol=1e-5)
    picture = network.decode(latents).sample
    assert torch.allclose(network.decode(latents.roll((2, 1), (2, 3))).sample, picture.roll((4, 2), (2, 3)), atol=1e-5)
    padding.eject()


def test_a_second_padding_on_the_same_module_is_refused() -> None:
    network = small_network()
    padding = make_seamless(network)
    with pytest.raises(ValueError, match="already replaced"):
        make_seamless(network, x=True, y=False)
    padding.eject()
    make_seamless(network).eject()


def test_no_axis_changes_nothing() -> None:
    network = small_network()
    padding = make_seamless(network, x=False, y=False)
    assert not padding.injected
    padding.eject()


@pytest.mark.parametrize("pads", [(1, 1, 1, 1), (0, 1, 0, 1), (2, 1, 0, 3), (0, 0, 2, 2)])
def test_the_padding_and_its_gradient_equal_those_of_torch(pads: tuple[int, int, int, int]) -> None:
    ours = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    weight = torch.randn_like(functional.pad(ours, pads))
    padded, expected = pad_axes(ours, pads, x=True, y=True), functional.pad(theirs, pads, mode="circular")
    assert torch.equal(padded, expected)
    (padded * weight).sum().backward()
    (expected * weight).sum().backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad)


def test_one_axis_circular_leaves_zeros_on_the_other() -> None:
    value = torch.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    assert pad_axes(value, (1, 0, 1, 0), x=True, y=False)[0, 0].tolist() == [[0, 0, 0], [2, 1, 2], [4, 3, 4]]


def test_more_padding_than_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot wrap"):
        pad_axes(torch.zeros(1, 1, 2, 2), (3, 0, 0, 0), x=True, y=True)


@torch.no_grad()
def test_what_a_network_says_keeps_its_zeros_does_so() -> None:
    network, image = autoencoder(), torch.randn(1, 3, 16, 16)
    latents = network.encode(image).latent_dist.mean
    picture = network.decode(latents).sample
    network.register_to_config(zero_padded=["encoder"])
    padding = make_seamless(network)
    assert torch.equal(network.encode(image).latent_dist.mean, latents)
    assert not torch.equal(network.decode(latents).sample, picture)
    padding.eject()
