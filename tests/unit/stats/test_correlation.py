"""Spearman's rho: value, ties, clusters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from wherelook.stats import spearman_test
from wherelook.stats.correlation import _weighted_ranks


def test_value_and_p_are_about_scipys():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 8, 60).astype(float)
    second = first + rng.normal(0, 6, 60)
    test, reference = spearman_test(first, second), spearmanr(first, second)
    assert test.statistic == pytest.approx(reference.statistic)
    assert test.p == pytest.approx(reference.pvalue, abs=0.01)
    assert test.effect.low < test.statistic < test.effect.high


def test_a_monotone_relation():
    test = spearman_test(list(range(10)), [x**3 for x in range(10)])
    assert test.statistic == pytest.approx(1)
    assert test.p == pytest.approx(1 / 2000, abs=1 / 2000)


def test_copies_in_a_cluster_are_no_news():
    rng = np.random.default_rng(1)
    first = rng.normal(size=30)
    second = 0.5 * first + rng.normal(size=30)
    names = [*range(30)]
    single = spearman_test(first, second, clusters=names)
    copied = spearman_test([*first] * 3, [*second] * 3, clusters=names * 3)
    assert copied.p == pytest.approx(single.p, rel=0.05)


def test_a_perfect_order_of_clusters_cannot_be_judged():
    with pytest.raises(ValueError, match="no spread to judge it by"):
        spearman_test(list(range(8)), list(range(8)), clusters=list("aabbccdd"))


def test_weighted_ranks_are_ranks_of_copies():
    """0.5 twice, 2.0 once, 0.1 three times: mid-ranks 4.5, 6 and 2, here less one half."""
    ranks = _weighted_ranks(np.array([0.5, 2.0, 0.1]), np.array([[2.0, 1.0, 3.0]]))
    assert ranks.tolist() == [[4.0, 5.5, 1.5]]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0], "all values are the same"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "are not pairs"),
        ([1.0, 2.0], [1.0, 2.0], "expected a list of 4 or more"),
    ],
)
def test_what_has_no_correlation(first, second, message):
    with pytest.raises(ValueError, match=message):
        spearman_test(first, second)
