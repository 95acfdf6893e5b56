"""The matte of a picture where a trimap leaves it open, in closed form: Levin, Lischinski and Weiss, A Closed-Form Solution to Natural
Image Matting (PAMI 2008).

In each window of 3 x 3 pixels the matte is taken for an affine function of the colour, alpha = a . I + b. With a and b eliminated
(their Theorem 1) what is left is a quadratic form, alpha' L alpha, with the matting Laplacian

    L_ij = sum over windows k that hold i and j of  delta_ij - (1 + (I_i - mu_k)' (Sigma_k + eps / 9 Id)^-1 (I_j - mu_k)) / 9

Here what is known is held, so that L is built and solved over the unknown pixels and their neighbours alone, however large the picture.
A band of more than `MOST` pixels is solved on a picture of half the size, and a and b, which are smooth, are brought back (their
section on the coarse-to-fine solution).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu

from gesso.media.working import resampled

Plane = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
Chosen = npt.NDArray[np.bool_]

EPSILON = 1e-5
"""How much the matte may bend within a window (values of 0..1, squared); it also keeps the inverse of a flat window finite."""
TRUST = 1e-6
"""Weight of the rough mask, which decides only where the colours say nothing at all."""
MOST = 120_000
"""Unknown pixels that are solved for at once: seconds and a few hundred megabytes."""
AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]


def solved(picture: Plane, rough: Plane, unknown: Chosen) -> Plane:
    """The matte (H, W) of a picture (H, W, 3) in 0..1: ``rough`` where it is known (0 or 1), found where it is not."""
    if not unknown.any():
        return rough
    if unknown.sum() <= MOST or min(unknown.shape) < 8:
        return _held(rough, unknown, _exact(picture, rough, unknown))
    size = ((unknown.shape[1] + 1) // 2, (unknown.shape[0] + 1) // 2)
    small, shrunk = resampled(picture, size), resampled(rough, size)
    open_ = resampled(unknown.astype(np.float32), size) > 0.02
    coarse = solved(small, np.where(open_, shrunk, np.round(shrunk)).astype(np.float32), open_)
    slope, offset = _affine(small, coarse)
    full = (unknown.shape[1], unknown.shape[0])
    found = (resampled(slope, full) * picture).sum(2) + resampled(offset, full)
    return _held(rough, unknown, found[unknown])


def _held(rough: Plane, unknown: Chosen, found: npt.NDArray[np.floating]) -> Plane:
    matte = rough.copy()
    matte[unknown] = np.clip(found, 0, 1)
    return matte


def _exact(picture: Plane, rough: Plane, unknown: Chosen) -> Array:
    """The unknown pixels' matte, in the order of their rows: (L + t) alpha = t rough - L_known alpha_known."""
    pixels, blocks = _windows(picture, unknown)
    flat = unknown.ravel()
    number = np.where(flat, np.cumsum(flat) - 1, -1)
    mine = number[pixels]
    known = np.where(flat, 0.0, rough.ravel())[pixels]
    pull = np.einsum("kij,kj->ki", blocks, known)
    count, asked = int(flat.sum()), mine >= 0
    wanted = TRUST * rough[unknown] - np.bincount(mine[asked], pull[asked], count)
    pairs = asked[:, :, None] & asked[:, None, :]
    rows, columns = (np.broadcast_to(index, blocks.shape)[pairs] for index in (mine[:, :, None], mine[:, None, :]))
    laplacian = sparse.coo_matrix((blocks[pairs], (rows, columns)), (count, count)).tocsc()
    laplacian = laplacian + TRUST * sparse.identity(count, format="csc")
    factors = splu(laplacian, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    result: Array = factors.solve(wanted)
    return result


def _windows(picture: Plane, unknown: Chosen) -> tuple[npt.NDArray[np.int64], Array]:
    """Of every window with an unknown pixel, the numbers of its pixels (K, 9) and its share of L (K, 9, 9)."""
    height, width = unknown.shape
    touched = ndimage.binary_dilation(unknown, np.ones((3, 3), np.bool_))
    touched[[0, -1]], touched[:, [0, -1]] = False, False
    rows, columns = np.nonzero(touched)
    pixels = np.stack([(rows + dy) * width + columns + dx for dy, dx in AROUND], 1)
    colours = picture.reshape(height * width, 3)[pixels].astype(np.float64)
    off = colours - colours.mean(1, keepdims=True)
    inverse = np.linalg.inv(np.einsum("kic,kid->kcd", off, off) / 9 + EPSILON / 9 * np.eye(3))
    likeness = np.einsum("kic,kcd,kjd->kij", off, inverse, off, optimize=True)
    return pixels, np.eye(9) - (1 + likeness) / 9


def _affine(picture: Plane, matte: Plane) -> tuple[Plane, Plane]:
    """The a (H, W, 3) and b (H, W) of alpha = a . I + b about each pixel: least squares over its window, then the mean over the windows."""

    def mean(values: npt.NDArray[np.floating]) -> Array:
        averaged: Array = ndimage.uniform_filter(values.astype(np.float64), (3, 3, 0)[: values.ndim], mode="nearest")
        return averaged

    colour, alpha = picture.astype(np.float64), matte.astype(np.float64)
    middle, level = mean(colour), mean(alpha)
    covariance = mean((colour[..., :, None] * colour[..., None, :]).reshape(*alpha.shape, 9)).reshape(*alpha.shape, 3, 3)
    covariance = covariance - middle[..., :, None] * middle[..., None, :] + EPSILON * np.eye(3)
    joint = mean(colour * alpha[..., None]) - middle * level[..., None]
    slope = np.linalg.solve(covariance, joint[..., None])[..., 0]
    offset = level - (slope * middle).sum(2)
    return mean(slope).astype(np.float32), mean(offset).astype(np.float32)
