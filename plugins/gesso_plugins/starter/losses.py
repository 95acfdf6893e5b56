"""What makes a decoded texture a good one: pixels, edges, colours from afar, the energy of fine detail at any phase, no visible cells."""

from __future__ import annotations

import math

import torch
from torch.nn import functional


def gabor_bank(orientations: int = 4, size: int = 5) -> torch.Tensor:
    """Oriented band-pass filters (2 * orientations, 1, size, size): even and odd, without a mean, of unit norm."""
    axis = torch.arange(size, dtype=torch.float32) - size // 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    envelope = torch.exp(-(x * x + y * y) / (2 * 1.3**2))
    filters = []
    for k in range(orientations):
        angle = math.pi * k / orientations
        wave = 2 * math.pi / 3.2 * (x * math.cos(angle) + y * math.sin(angle))
        for carrier in (torch.cos(wave), torch.sin(wave)):
            kernel = carrier * envelope
            kernel = kernel - envelope * kernel.sum() / envelope.sum()
            filters.append(kernel / kernel.norm())
    return torch.stack(filters)[:, None]


def texture_energy(images: torch.Tensor, bank: torch.Tensor) -> list[torch.Tensor]:
    """Local energy per orientation at two scales: what remains of fine detail when its position is forgotten."""
    grey = images.mean(1, keepdim=True)
    energies = []
    for _ in range(2):
        response = functional.conv2d(grey, bank).square()
        quadrature = response[:, 0::2] + response[:, 1::2]
        energies.append((functional.avg_pool2d(quadrature, 8, 4) + 1e-4).sqrt())
        grey = functional.avg_pool2d(grey, 2)
    return energies


def opponents(images: torch.Tensor) -> torch.Tensor:
    """Red against green and yellow against blue: without weight on them the latents hold one axis of colour and forget the other."""
    red, green, blue = images.unbind(1)
    return torch.stack([red - green, 0.5 * (red + green) - blue], 1)


def cell_steps(images: torch.Tensor, cell: int = 8) -> torch.Tensor:
    """How large the steps between pixels are on the lines between cells, over all steps; across and down, two numbers.

    One in true pictures. Where a decoder makes it more, its cells can be seen, and so can the border of a tile, which is such a line.
    """
    ratios = []
    for axis in (-1, -2):
        steps = images.diff(dim=axis).abs().movedim(axis, 0)
        ratios.append(steps[cell - 1 :: cell].mean() / (steps.mean() + 1e-6))
    return torch.stack(ratios)


def anchor_loss(latents: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Hold the first three latent channels to the brightness and the two opponent colours of their patch.

    Without it the encoder may never find an axis of colour: a decoder that does not read it teaches no encoder to write it.
    """
    patches = functional.avg_pool2d(images, 8)
    wanted = torch.cat([patches.mean(1, keepdim=True), opponents(patches)], 1)
    return functional.l1_loss(latents[:, :3], 2.0 * wanted)


def reconstruction_loss(made: torch.Tensor, wanted: torch.Tensor, bank: torch.Tensor, texture_weight: float) -> dict[str, torch.Tensor]:
    """The terms of the autoencoder's loss, weighted; their sum is minimised."""
    pixels = functional.l1_loss(made, wanted)
    across = functional.l1_loss(made[..., 1:] - made[..., :-1], wanted[..., 1:] - wanted[..., :-1])
    down = functional.l1_loss(made[..., 1:, :] - made[..., :-1, :], wanted[..., 1:, :] - wanted[..., :-1, :])
    afar = functional.l1_loss(functional.avg_pool2d(made, 8), functional.avg_pool2d(wanted, 8))
    hues = functional.l1_loss(opponents(functional.avg_pool2d(made, 4)), opponents(functional.avg_pool2d(wanted, 4)))
    cells = (cell_steps(made) - cell_steps(wanted)).abs().mean()
    terms = {"pixels": pixels, "edges": 0.5 * (across + down), "afar": 2.0 * afar, "hues": 3.0 * hues, "cells": cells}
    if texture_weight:
        pairs = zip(texture_energy(made, bank), texture_energy(wanted, bank), strict=True)
        terms["texture"] = texture_weight * torch.stack([functional.l1_loss(a, b) for a, b in pairs]).sum()
    return terms


def psnr(made: torch.Tensor, wanted: torch.Tensor) -> float:
    """Peak signal to noise in decibels, for images in [-1, 1]."""
    return -10 * math.log10(float((made - wanted).square().mean()) / 4 + 1e-12)
