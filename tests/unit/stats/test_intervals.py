"""Intervals of shares and means against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from wherelook.stats import bootstrap_interval, mean_interval, share_interval, wilson_interval


def test_wilson_interval_of_a_known_share():
    """Wilson 1927 for 8 of 10: (0.490, 0.943)."""
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == 1
    for right in (0, 3, 70):
        reference = binomtest(right, 70).proportion_ci(method="wilson")
        assert wilson_interval(right, 70) == pytest.approx(tuple(reference))


@pytest.mark.parametrize(("successes", "total"), [(1, 0), (0, 0), (3, 2), (-1, 2)])
def test_what_is_not_a_share(successes, total):
    with pytest.raises(ValueError, match="is not a share"):
        wilson_interval(successes, total)


def test_bootstrap_interval_is_about_the_normal_one():
    values = np.random.default_rng(0).normal(3, 2, 400)
    low, high = bootstrap_interval(list(values))
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)
    assert (low, high) == bootstrap_interval(list(values))
    assert bootstrap_interval([0.3]) == (0.3, 0.3)
    with pytest.raises(ValueError, match="no values"):
        bootstrap_interval([])


def test_share_of_clusters():
    outcomes = [1, 1, 0, 0, 1, 1, 0, 1]
    alone = share_interval(outcomes)
    assert (alone.low, alone.high) == wilson_interval(5, 8)
    doubled = share_interval(outcomes * 2, clusters=[*range(8)] * 2)
    assert doubled.high - doubled.low > alone.high - alone.low  # a copy is no news, and t is wider than the normal
    constant = share_interval([1] * 12, clusters=[0, 1, 2, 3] * 3)
    assert constant.high == 1
    assert constant.low == pytest.approx(4 / (4 + 3.1824**2), abs=1e-4)  # four clusters count as four items
    with pytest.raises(ValueError, match="yes or no"):
        share_interval([0, 2])
    with pytest.raises(ValueError, match="3 clusters for 2 values"):
        share_interval([0, 1], clusters=[1, 2, 3])


def test_mean_interval_of_values_without_skewness_is_students():
    estimate = mean_interval([1.0, 2.0, 3.0])
    assert (estimate.value, estimate.low) == pytest.approx((2, 2 - 4.3027 / 3**0.5), abs=1e-3)
    of_clusters = mean_interval([0.0, 2.0, 1.0, 3.0, 2.0, 4.0], clusters=["a", "a", "b", "b", "c", "c"])
    of_means = mean_interval([1.0, 2.0, 3.0])
    assert (of_clusters.low, of_clusters.high) == pytest.approx((of_means.low, of_means.high))


def test_mean_interval_leans_to_the_side_of_the_tail():
    """At each end Hall's transformed statistic is Student's quantile over the root of n."""
    values = np.array([0.1, 0.2, 0.2, 0.3, 0.5, 0.9, 2.5, 0.1, 0.4, 1.1])
    estimate = mean_interval(values.tolist())
    total, spread = len(values), values.std()
    skewness = float(np.mean((values - values.mean()) ** 3) / spread**3)
    reach = 2.262157 / total**0.5
    for bound, wanted in ((estimate.low, reach), (estimate.high, -reach)):
        away = (values.mean() - bound) / (spread * (total / (total - 1)) ** 0.5)
        transformed = away + skewness * away**2 / 3 + skewness**2 * away**3 / 27 + skewness / (6 * total)
        assert transformed == pytest.approx(wanted, abs=1e-6)
    assert estimate.high - estimate.value > 1.3 * (estimate.value - estimate.low)
    mirrored = mean_interval((-values).tolist())
    assert (mirrored.low, mirrored.high) == pytest.approx((-estimate.high, -estimate.low))


def test_mean_interval_of_one_value_or_one_that_is_no_number():
    assert mean_interval([1.0]).high == np.inf
    with pytest.raises(ValueError, match="value 1 is not a finite number"):
        mean_interval([1.0, np.nan])


def test_an_interval_of_few_values_is_cut_to_what_is_possible():
    """Student's goes beyond: a share of saliency was 29 % (-19 to 288)."""
    whole = mean_interval([0.1, 0.15, 0.62])
    assert whole.low < 0
    assert whole.high > 1
    cut = whole.within(0, 1)
    assert (cut.low, cut.high, cut.value, cut.method) == (0, 1, whole.value, whole.method)
    assert mean_interval([0.1, 0.15, 0.62] * 30).within(0, 1) == mean_interval([0.1, 0.15, 0.62] * 30)
