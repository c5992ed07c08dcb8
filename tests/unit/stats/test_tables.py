"""Tests and ratios of yes and no, against published examples and formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wherelook.stats import (
    association_test,
    count_table,
    difference_of_shares,
    mcnemar_test,
    odds_ratio,
    risk_ratio,
    share_test,
)

TEA = [1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 1, 0, 0, 0]
"""Fisher 1935: milk poured first, and told to have been; 3 of 4 right."""


def test_share_test_is_the_binomial_one():
    assert share_test(9, 10).p == pytest.approx(2 * 11 / 1024)
    with pytest.raises(ValueError, match="null 1 is not between 0 and 1"):
        share_test(9, 10, null=1)


def test_mcnemar_counts_discordant_items():
    """8 against 2: twice the tail of ten tosses of a coin. The 30 others change the difference of shares only."""
    first = [1] * 8 + [0] * 2 + [1] * 20 + [0] * 10
    second = [0] * 8 + [1] * 2 + [1] * 20 + [0] * 10
    test = mcnemar_test(first, second)
    assert test.p == pytest.approx(2 * 56 / 1024)
    assert test.effect.value == pytest.approx(6 / 40)
    assert test.effect.low < 0 < 6 / 40 < test.effect.high
    assert mcnemar_test([1, 0], [1, 0]).p == 1


def test_fisher_and_the_exact_odds_ratio():
    """The lady tasting tea: p = 34 / 70. At the ends of the interval 3 or more, or 3 or fewer, have 2.5 %."""
    test = association_test(*TEA)
    assert test.p == pytest.approx(34 / 70)
    ways = np.array([1, 16, 36, 16, 1])  # of 0 to 4 right

    def chances(ratio: float) -> np.ndarray:
        return ways * ratio ** np.arange(5) / (ways @ ratio ** np.arange(5))

    assert chances(test.effect.value) @ np.arange(5) == pytest.approx(3)
    assert chances(test.effect.low)[3:].sum() == pytest.approx(0.025)
    assert chances(test.effect.high)[:4].sum() == pytest.approx(0.025)


def test_woolf_with_haldane():
    estimate = odds_ratio(((30, 10), (15, 25)))
    ratio = 30.5 * 25.5 / (10.5 * 15.5)
    error = math.sqrt(1 / 30.5 + 1 / 10.5 + 1 / 15.5 + 1 / 25.5)
    assert estimate.value == pytest.approx(ratio)
    assert estimate.low == pytest.approx(ratio * math.exp(-1.959964 * error), rel=1e-6)
    assert risk_ratio(((30, 10), (15, 25))).value == pytest.approx(30.5 / 40.5 / (15.5 / 40.5))


def test_clustered_odds_ratio():
    """Every item twice in a cluster: the error of the single items, not of twice as many."""
    rng = np.random.default_rng(3)
    condition = rng.random(200) < 0.5
    outcome = rng.random(200) < np.where(condition, 0.8, 0.5)
    single = association_test(condition.tolist(), outcome.tolist(), clusters=[*range(200)])
    doubled = association_test(condition.tolist() * 2, outcome.tolist() * 2, clusters=[*range(200)] * 2)
    assert doubled.statistic == pytest.approx(single.statistic, rel=0.02)
    assert single.p < 0.001
    assert single.effect.low < 4 < single.effect.high
    (a, b), (c, d) = count_table(condition.tolist(), outcome.tolist())
    woolf = math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    assert math.log(single.effect.value) / single.statistic == pytest.approx(woolf, rel=0.03)


def test_empty_cells_with_clusters_are_not_certain():
    flags = [1] * 20 + [0] * 20
    estimate = association_test(flags, flags, clusters=[*range(40)]).effect
    assert math.log(estimate.value / estimate.low) == pytest.approx(2.0227 * math.sqrt(2 / 0.5 + 2 / 20.5), rel=1e-3)


def test_newcombes_example():
    """Newcombe 1998, example (a): 56 of 70 and 48 of 80."""
    estimate = difference_of_shares(((56, 14), (48, 32)))
    assert (estimate.low, estimate.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_tables_that_tell_nothing():
    with pytest.raises(ValueError, match="empty row or column"):
        association_test([1, 1, 1], [1, 0, 1])
    with pytest.raises(ValueError, match="yes or no"):
        count_table([1, 2], [0, 1])
    with pytest.raises(ValueError, match="1 and 2 outcomes are not pairs"):
        count_table([1], [0, 1])
