"""Previews: the fitted matrix recovers a linear decoder, and a picture is never larger than it may be."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from gesso.media import preview


def test_fitting_recovers_a_linear_decoder() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.rand(5, 3, generator=generator) * 0.1
    latents = torch.randn(2, 4, 8, 8, generator=generator)
    images = torch.einsum("bchw,cr->brhw", latents, matrix[:4]) + matrix[4].view(1, 3, 1, 1)
    large = torch.nn.functional.interpolate(images, scale_factor=8, mode="nearest")
    assert torch.allclose(preview.fit(latents, large), matrix, atol=1e-5)


def test_projecting_is_the_matrix_and_clips() -> None:
    matrix = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.5, 0.5, 0.5]])
    latent = torch.zeros(1, 2, 3, 4)
    latent[0, 0, 0, 0], latent[0, 1, 2, 3] = 9.0, -9.0
    pixels = preview.project(latent, matrix)
    assert pixels.shape == (3, 4, 3)
    assert pixels[0, 0].tolist() == [255, 128, 128]
    assert pixels[2, 3].tolist() == [128, 0, 128]
    assert pixels[1, 1].tolist() == [128, 128, 128]


def test_sizes_are_those_of_the_picture_but_bounded() -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    assert preview.enlarged(pixels, 4).shape == (64, 128, 3)
    assert preview.enlarged(pixels, 8).shape == (128, 256, 3)
    assert preview.enlarged(pixels, 32).shape == (128, 256, 3)
    assert preview.enlarged(np.zeros((300, 600, 3), np.uint8), 8).shape == (128, 256, 3)


def test_the_file_is_a_jpeg() -> None:
    with Image.open(io.BytesIO(preview.jpeg(np.full((8, 8, 3), 200, np.uint8)))) as opened:
        assert (opened.format, opened.size) == ("JPEG", (8, 8))
