"""How like two sets of pictures are, and how good one is, as statistics of their features: arrays in, numbers out, in double precision.

Features are rows (N, D) that some network gave; what a number is called depends on that network, so nothing here is called FID.
It runs no network and reads no picture. The seam of a picture is measured by `gesso.media.seam`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist, pdist

Rows = npt.NDArray[Any]
NEIGHBOURS = 3
"""k of precision and recall, as in the paper's experiments."""
SUBSET, SUBSETS = 1_000, 100
"""Of the kernel distance, as is usual: how many rows a subset has, and how many subsets."""


@dataclass(frozen=True)
class Estimate:
    """The mean over subsets or splits, and their spread (0 where there was only one)."""

    mean: float
    deviation: float


def frechet_distance(made: Rows, real: Rows) -> float:
    """|m - w|^2 + Tr(C + W - 2 (C W)^(1/2)) of the Gaussians with the sets' means and covariances; 0 for equal ones.

    Heusel et al. 2017 (arXiv 1706.08500), eq. 6; the distance is that of Dowson and Landau 1982. Tr (C W)^(1/2) is taken as the sum of the
    singular values of C^(1/2) W^(1/2), which stays real where fewer rows than columns leave the covariances singular.
    """
    made, real = _rows(made, 2), _rows(real, 2)
    apart = made.mean(0) - real.mean(0)
    first, second = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (made, real))
    shared = np.linalg.svd(_root(first) @ _root(second), compute_uv=False).sum()
    return max(0.0, float(apart @ apart + np.trace(first) + np.trace(second) - 2.0 * shared))


def kernel_distance(made: Rows, real: Rows, *, subset: int = SUBSET, subsets: int = SUBSETS, seed: int = 0) -> Estimate:
    """The squared maximum mean discrepancy under the kernel (x.y / D + 1)^3, unbiased: about 0, and below it as often, for equal sets.

    Binkowski et al. 2018 (arXiv 1801.01401), section 4; the estimator is Gretton et al. 2012, eq. 3. It is taken over random subsets of
    ``subset`` rows of each set; where neither has more, over all of them once.
    """
    made, real = _rows(made, 2), _rows(real, 2)
    sizes = min(subset, len(made)), min(subset, len(real))
    if sizes == (len(made), len(real)):
        return Estimate(_discrepancy(made, real), 0.0)
    rng = np.random.default_rng(seed)
    found = [
        _discrepancy(*(rows[rng.choice(len(rows), size, replace=False)] for rows, size in zip((made, real), sizes, strict=True)))
        for _ in range(subsets)
    ]
    return Estimate(float(np.mean(found)), float(np.std(found)))


def precision_recall(made: Rows, real: Rows, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """Precision: the share of ``made`` that lies within the real ones' manifold; recall: the share of ``real`` within the made ones'. The
    manifold of a set is the union of balls around its rows, each reaching to the row's k-th neighbour in the set.

    Kynkaanniemi et al. 2019 (arXiv 1904.06991), eq. 1 and 2. A set of k rows or fewer has no k-th neighbour: the farthest is taken.
    """
    made, real = _rows(made, 2), _rows(real, 2)
    return _covered(made, real, neighbours), _covered(real, made, neighbours)


def inception_score(probabilities: Rows, splits: int = 1) -> Estimate:
    """exp(E KL(p(y|x) || p(y))) of class probabilities (N, classes), over ``splits`` equal parts: 1 where all pictures look like the same
    mixture of classes, the number of classes where each is certain and all come equally often.

    Salimans et al. 2016 (arXiv 1606.03498), section 4.
    """
    rows = _rows(probabilities, splits)
    if (rows < 0).any() or not np.allclose(rows.sum(1), 1.0, atol=1e-4):
        raise ValueError("class probabilities are not negative and add up to one")
    scores = []
    for part in np.array_split(rows, splits):
        mean = part.mean(0)
        held = np.where(part > 0, part, 1.0)
        scores.append(np.exp((part * (np.log(held) - np.log(np.where(mean > 0, mean, 1.0)))).sum(1).mean()))
    return Estimate(float(np.mean(scores)), float(np.std(scores)))


def diversity(features: Rows) -> float:
    """The mean Euclidean distance of two rows: 0 where a model makes one picture only. Zhu et al. 2017 (arXiv 1711.11586) measure
    diversity so, with LPIPS as the distance.
    """
    return float(pdist(_rows(features, 2)).mean())


def agreement(pictures: Rows, words: Rows) -> float:
    """The mean cosine of each picture's row with the row of its own words: the CLIP score of Hessel et al. 2021 (arXiv 2104.08718), section
    3, without its factor 2.5 and without cutting at zero.
    """
    pictures, words = _rows(pictures, 1), _rows(words, 1)
    if pictures.shape != words.shape:
        raise ValueError(f"each picture needs its own words: {pictures.shape} and {words.shape} do not pair")
    lengths = np.linalg.norm(pictures, axis=1) * np.linalg.norm(words, axis=1)
    return float(((pictures * words).sum(1) / lengths).mean())


def _rows(features: Rows, least: int) -> npt.NDArray[np.float64]:
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2 or len(rows) < least or not np.isfinite(rows).all():
        raise ValueError(f"features are {least} or more finite rows (N, D), not {rows.shape}")
    return rows


def _root(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    rooted: npt.NDArray[np.float64] = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    return rooted


def _discrepancy(made: npt.NDArray[np.float64], real: npt.NDArray[np.float64]) -> float:
    within = []
    for rows in (made, real):
        kernel = _kernel(rows, rows)
        within.append((kernel.sum() - np.trace(kernel)) / (len(rows) * (len(rows) - 1)))
    return float(within[0] + within[1] - 2.0 * _kernel(made, real).mean())


def _kernel(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = (a @ b.T / a.shape[1] + 1.0) ** 3
    return values


def _covered(asked: npt.NDArray[np.float64], rows: npt.NDArray[np.float64], neighbours: int) -> float:
    """The share of ``asked`` within reach of any row, which reaches as far as its k-th neighbour, itself not counted."""
    nearest = min(neighbours, len(rows) - 1)
    reach = np.partition(cdist(rows, rows), nearest, axis=1)[:, nearest]
    return float((cdist(asked, rows) <= reach).any(axis=1).mean())
