"""Calibration of planted scores, and the area under the ROC curve by counting."""

from __future__ import annotations

import numpy as np
import pytest

from wherelook.stats import calibration, roc_area


def test_calibrated_and_overconfident_scores():
    rng = np.random.default_rng(0)
    truth = rng.random(4000)
    right = rng.random(4000) < truth
    honest, bold = calibration(truth, right), calibration(np.sqrt(truth), right)
    assert honest.error < 0.03
    assert bold.error == pytest.approx(2 / 3 - 1 / 2, abs=0.02)
    assert honest.brier.low < 1 / 6 < honest.brier.high
    assert honest.roc_area.value == pytest.approx(bold.roc_area.value)  # order is all that it sees
    assert [one.n for one in honest.bins] == [400] * 10
    assert sum(one.low <= one.score <= one.high for one in honest.bins) >= 8


def test_equal_scores_share_a_bin():
    found = calibration([0.5] * 30 + [0.9] * 3, [1, 0] * 15 + [1] * 3)
    assert [one.n for one in found.bins] == [30, 3]
    assert found.error == pytest.approx(0.1 * 3 / 33)


def test_roc_area_counts_pairs():
    """Of 6 pairs of a right and a wrong answer 4 in order, 1 tied."""
    assert roc_area([0.9, 0.8, 0.3, 0.3, 0.85], [1, 1, 1, 0, 0]).value == pytest.approx(4.5 / 6 - 1 / 6)
    assert calibration([0.2, 0.7], [1, 1]).roc_area is None
    tied = roc_area([0.5, 0.5, 0.5], [1, 0, 1])
    assert (tied.value, tied.low, tied.high) == (0.5, 0, 1)
    apart = roc_area([0.9, 0.8, 0.7, 0.1, 0.2], [1, 1, 1, 0, 0])
    assert (apart.value, apart.high) == (1, 1)
    assert apart.low < 0.5


def test_a_cluster_of_the_area_counts_once():
    """Every answer twice in one cluster: the interval of the single answers but for t in place of the normal."""
    rng = np.random.default_rng(1)
    right = rng.random(120) < 0.6
    scores = rng.normal(size=120) + right
    single = roc_area(scores, right, clusters=[*range(120)])
    doubled = roc_area(np.tile(scores, 2), np.tile(right, 2), clusters=[*range(120)] * 2)
    assert (doubled.value, doubled.low, doubled.high) == pytest.approx((single.value, single.low, single.high))
    with pytest.raises(ValueError, match="3 clusters for 2 values"):
        roc_area([0.1, 0.2], [0, 1], clusters=[1, 2, 3])


def test_delongs_variance():
    rng = np.random.default_rng(2)
    above, below = rng.normal(1, 1, 150), rng.normal(0, 1, 250)
    wins = (above[:, None] > below[None]).astype(float)
    variance = wins.mean(axis=1).var(ddof=1) / 150 + wins.mean(axis=0).var(ddof=1) / 250
    estimate = roc_area([*above, *below], [1] * 150 + [0] * 250)
    half = (np.arctanh(2 * estimate.high - 1) - np.arctanh(2 * estimate.low - 1)) / 2
    slope = 2 / (1 - (2 * estimate.value - 1) ** 2)
    assert half == pytest.approx(1.966 * slope * variance**0.5, rel=0.01)


@pytest.mark.parametrize(
    ("scores", "correct", "message"),
    [([1.2], [1], r"in \[0, 1\]"), ([0.2], [1, 0], "are not pairs"), ([0.2], [3], "yes or no")],
)
def test_what_cannot_be_calibrated(scores, correct, message):
    with pytest.raises(ValueError, match=message):
        calibration(scores, correct)


def test_the_interval_of_the_brier_score_stays_between_its_ends():
    few = calibration([0.0, 1.0], [True, True]).brier
    assert (few.value, few.low, few.high) == (0.5, 0.0, 1.0)
