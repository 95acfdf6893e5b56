"""The statistics of evaluation: closed forms, scipy's square root of a matrix, and the numbers of torch-fidelity on the same features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.linalg import sqrtm
from scipy.special import softmax

from gesso import fidelity

Rows = npt.NDArray[np.float64]

# Made once with torch-fidelity 0.4.0 (Apache-2.0): its modules metric_fid, metric_kid, metric_prc and metric_isc, loaded with an empty
# torchvision, were given the features of `fixed` and the logits of `test_inception_score_...`: fid_features_to_statistics and
# fid_statistics_to_metric; kid_features_to_metric with one subset of 200 (the kernel of its defaults) of `made` and of the first 200 of
# `real`; prc_features_to_metric with 3 neighbours; isc_features_to_metric without shuffling, in 10 splits and in one.
FRECHET = 16.051634654837528
KERNEL = 12.194034580165592
PRECISION, RECALL = 185 / 200, 151 / 240
INCEPTION, INCEPTION_DEVIATION, INCEPTION_WHOLE = 2.448382154481451, 0.16286267501753413, 2.6270169182272864


@pytest.fixture(scope="module")
def fixed() -> tuple[Rows, Rows]:
    """Two sets that differ in mean and in spread: made (200, 16), real (240, 16)."""
    rng = np.random.default_rng(20260)
    mix = rng.standard_normal((16, 16))
    made = rng.standard_normal((200, 16)) @ mix * 0.8 + 0.3
    return made, rng.standard_normal((240, 16)) @ mix


def test_the_numbers_are_those_of_torch_fidelity(fixed: tuple[Rows, Rows]) -> None:
    made, real = fixed
    assert fidelity.frechet_distance(made, real) == pytest.approx(FRECHET, rel=1e-9)
    assert fidelity.kernel_distance(made, real[:200]).mean == pytest.approx(KERNEL, rel=1e-9)
    assert fidelity.precision_recall(made, real) == pytest.approx((PRECISION, RECALL), abs=1e-9)


def test_inception_score_is_that_of_torch_fidelity() -> None:
    probabilities = softmax(np.random.default_rng(7).standard_normal((200, 10)) * 2, axis=1)
    found = fidelity.inception_score(probabilities, splits=10)
    assert (found.mean, found.deviation) == pytest.approx((INCEPTION, INCEPTION_DEVIATION), rel=1e-9)
    assert fidelity.inception_score(probabilities).mean == pytest.approx(INCEPTION_WHOLE, rel=1e-9)


@pytest.mark.parametrize(("count", "width"), [(300, 24), (60, 7), (40, 1)])
def test_the_frechet_distance_equals_the_formula_with_the_root_of_scipy(count: int, width: int) -> None:
    rng = np.random.default_rng(count)
    made, real = rng.gamma(2.0, size=(count, width)), rng.standard_normal((count + 9, width)) @ rng.standard_normal((width, width))
    covariances = [np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (made, real)]
    root = np.real(sqrtm(covariances[0] @ covariances[1]))
    apart = made.mean(0) - real.mean(0)
    expected = apart @ apart + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert fidelity.frechet_distance(made, real) == pytest.approx(expected, rel=1e-9)


def test_equal_sets_are_no_distance_apart_also_where_covariances_are_singular() -> None:
    rows = np.random.default_rng(1).standard_normal((10, 32))
    assert fidelity.frechet_distance(rows, rows) == pytest.approx(0, abs=1e-6)
    assert fidelity.precision_recall(rows, rows) == (1.0, 1.0)
    half = np.random.default_rng(2).standard_normal((400, 8))
    assert abs(fidelity.kernel_distance(half[:200], half[200:]).mean) < 0.1


def test_shifted_and_scaled_gaussians_have_the_closed_form() -> None:
    """Of N(m, s^2) and N(w, t^2): (m - w)^2 + (s - t)^2 in each dimension (Dowson and Landau 1982)."""
    rows = np.random.default_rng(3).standard_normal((200, 5))
    rows = (rows - rows.mean(0)) / rows.std(0, ddof=1)
    assert fidelity.frechet_distance(rows, rows + np.array([1, 0, 0, -2, 0])) == pytest.approx(5, abs=1e-9)
    whitened = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    assert fidelity.frechet_distance(whitened, 3 * whitened + 1) == pytest.approx(5 * (1 + 2**2), abs=1e-9)


def test_the_kernel_distance_by_hand_and_over_subsets(fixed: tuple[Rows, Rows]) -> None:
    """Of {0, 1} and {2, 3} with D = 1: k(0,1) + k(2,3) - (k(0,2) + k(0,3) + k(1,2) + k(1,3)) / 2."""
    by_hand = 1 + 7**3 - (1 + 1 + 3**3 + 4**3) / 2
    assert fidelity.kernel_distance(np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])).mean == pytest.approx(by_hand)
    made, real = fixed
    found = fidelity.kernel_distance(made, real, subset=150, subsets=200)
    assert found == fidelity.kernel_distance(made, real, subset=150, subsets=200)
    assert found.deviation > 0
    assert found.mean == pytest.approx(fidelity.kernel_distance(made, real).mean, abs=4 * found.deviation / np.sqrt(200))


def test_precision_and_recall_by_hand() -> None:
    """One made point beside the real ones, three far away: a quarter is precise; the balls of the far ones reach to it and beyond."""
    real = np.array([[0.0], [1.0], [2.0], [3.0]])
    made = np.array([[1.5], [50.0], [51.0], [52.0]])
    assert fidelity.precision_recall(made, real, neighbours=1) == (0.25, 1.0)
    assert fidelity.precision_recall(made[1:], real, neighbours=1) == (0.0, 0.0)
    assert fidelity.precision_recall(real[:2], real[:2], neighbours=3) == (1.0, 1.0)


def test_scores_of_certain_equal_and_one_sided_classes() -> None:
    assert fidelity.inception_score(np.eye(4)).mean == pytest.approx(4)
    assert fidelity.inception_score(np.full((6, 4), 0.25)).mean == pytest.approx(1)
    assert fidelity.inception_score(np.eye(4)[[0, 0, 0]]).mean == pytest.approx(1)


def test_diversity_and_agreement_by_hand() -> None:
    assert fidelity.diversity(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])) == pytest.approx(10 / 3)
    pictures, words = np.array([[2.0, 0.0], [1.0, 0.0]]), np.array([[5.0, 0.0], [1.0, 1.0]])
    assert fidelity.agreement(pictures, words) == pytest.approx((1 + np.sqrt(0.5)) / 2)


@pytest.mark.parametrize("rows", [np.zeros((1, 3)), np.zeros(4), np.array([[1.0], [np.nan]])])
def test_what_is_no_set_of_features_is_refused(rows: Rows) -> None:
    with pytest.raises(ValueError, match="rows"):
        fidelity.frechet_distance(rows, rows)
    with pytest.raises(ValueError, match="pair"):
        fidelity.agreement(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="add up to one"):
        fidelity.inception_score(np.ones((2, 3)))
