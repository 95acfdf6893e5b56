"""A small picture of a latent: one matrix product and a resize; no decoder runs here."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from gesso.media.images import quantised

SIDE = 256
"""The longer side of a preview, in pixels."""


def project(latent: Tensor, matrix: Tensor) -> npt.NDArray[np.uint8]:
    """Latent (1, C, h, w) and matrix (C + 1, 3) -> uint8 (h, w, 3)."""
    planes = latent[0].to(matrix.device, matrix.dtype)
    colours = torch.einsum("chw,cr->hwr", planes, matrix[:-1]) + matrix[-1]
    return quantised(torch.nan_to_num(colours).to("cpu", torch.float32).numpy(), 8)


def enlarged(pixels: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """The preview at the size of the picture (``factor`` times), but with at most `SIDE` pixels on its longer side."""
    height, width = pixels.shape[:2]
    scale = min(float(factor), SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The preview as a JPEG file, as it crosses the wire."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def fit(latents: Tensor, images: Tensor) -> Tensor:
    """The matrix (C + 1, 3) that maps latents (B, C, h, w) to pictures (B, 3, H, W) in 0..1 best in the least-squares sense; on the CPU."""
    channels, (height, width) = latents.shape[1], latents.shape[2:]
    small = torch.nn.functional.adaptive_avg_pool2d(images.to("cpu", torch.float64), (height, width))
    rows = latents.to("cpu", torch.float64).movedim(1, -1).reshape(-1, channels)
    rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=rows.dtype)], dim=1)
    solution: Tensor = torch.linalg.lstsq(rows, small.movedim(1, -1).reshape(-1, 3)).solution
    return solution.to(torch.float32)
