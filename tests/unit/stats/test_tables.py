"""Tests and ratios of yes and no, against published examples and formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from wherelook.stats import association_test, mcnemar_test, odds_ratio

TEA = [1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 1, 0, 0, 0]
"""Fisher 1935: milk poured first, and told to have been; 3 of 4 right."""


def test_mcnemar_counts_discordant_items():
    """8 against 2: a score of 6 / sqrt(10). The 30 others change the difference of shares only."""
    first = [1] * 8 + [0] * 2 + [1] * 20 + [0] * 10
    second = [0] * 8 + [1] * 2 + [1] * 20 + [0] * 10
    test = mcnemar_test(first, second)
    assert test.p == pytest.approx(2 * norm.sf(6 / 10**0.5))
    assert test.effect.value == pytest.approx(6 / 40)
    assert mcnemar_test([1, 0], [1, 0]).p == 1


def test_tangos_interval_of_a_published_table():
    """Airway hyper-responsiveness before and after transplantation, 1 and 7 of 21: Fagerland et al. 2013, table 3."""
    effect = mcnemar_test([1] * 1 + [0] * 7 + [1] * 1 + [0] * 12, [0] * 1 + [1] * 7 + [1] * 1 + [0] * 12).effect
    assert (effect.low, effect.high) == (pytest.approx(-0.517, abs=5e-4), pytest.approx(-0.026, abs=5e-4))


@given(st.tuples(*[st.integers(0, 12)] * 4))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_interval_and_p_of_shares_and_odds_agree(counts):
    """An interval that leaves out no effect beside a p above 5 %, or the other way round, tells two stories."""
    a, b, c, d = counts
    condition, outcome = [1] * (a + b) + [0] * (c + d), [1] * a + [0] * b + [1] * c + [0] * d
    if sum(counts):
        paired = mcnemar_test(condition, outcome)
        assert (paired.effect.low <= 0 <= paired.effect.high) == (paired.p >= 0.05)
    if min(a + b, c + d, a + c, b + d):
        ratio = association_test(condition, outcome)
        assert (ratio.effect.low <= 1 <= ratio.effect.high) == (ratio.p >= 0.05)


def test_chi_squared_of_a_published_table():
    """The lady tasting tea, 3 of 4: chi squared 2 with 8 / 8, so 1.75 with 7 / 8."""
    assert association_test(*TEA).statistic ** 2 == pytest.approx(1.75)


@pytest.mark.parametrize("table", [((30, 10), (15, 25)), ((3, 1), (1, 3)), ((1, 30), (200, 4)), ((90, 2), (3, 1))])
def test_the_ends_of_the_odds_ratios_interval_are_just_not_rejected(table):
    """At each end the table with this odds ratio and the same sums is 1.96 standard errors away."""
    estimate = odds_ratio(table)
    (a, b), (c, d) = table
    assert estimate.value == pytest.approx((a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)))
    total = a + b + c + d
    for bound, sign in ((estimate.low, 1), (estimate.high, -1)):
        possible = np.linspace(max(0, a - d), min(a + b, a + c), 2_000_001)[1:-1]
        cells = np.array([possible, a + b - possible, a + c - possible, d - a + possible])
        nearest = cells[:, np.abs(np.log(cells[0] * cells[3] / (cells[1] * cells[2])) - math.log(bound)).argmin()]
        error = (1 / nearest).sum() ** -0.5 * (total / (total - 1)) ** 0.5
        assert sign * (a - nearest[0]) / error == pytest.approx(1.959964, abs=1e-3)


def test_odds_ratios_of_tables_with_empty_cells_are_bounded_on_one_side():
    """Of no cases in one cell: the ends lie where the chance of so few is about 2.5 %."""
    none_wrong = odds_ratio(((10, 0), (5, 5)))
    assert none_wrong.high == math.inf
    assert 1 < none_wrong.low < none_wrong.value
    never = odds_ratio(((0, 10), (5, 5)))
    assert (never.low, never.high) == pytest.approx((0, 1 / none_wrong.low))
    assert odds_ratio(((10, 0), (0, 10))).low > 10
    swapped = odds_ratio(((25, 15), (10, 30)))
    assert (1 / swapped.high, 1 / swapped.low) == pytest.approx(
        (odds_ratio(((15, 25), (30, 10))).low, odds_ratio(((15, 25), (30, 10))).high)
    )


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
    woolf = math.sqrt(sum(1 / (condition == x)[outcome == y].sum() for x in (0, 1) for y in (0, 1)))
    assert math.log(single.effect.value) / single.statistic == pytest.approx(woolf, rel=0.03)


def test_empty_cells_with_clusters_are_not_certain():
    flags = [1] * 20 + [0] * 20
    estimate = association_test(flags, flags, clusters=[*range(40)]).effect
    assert math.log(estimate.value / estimate.low) == pytest.approx(2.0227 * math.sqrt(2 / 0.5 + 2 / 20.5), rel=1e-3)


def test_tables_that_tell_nothing():
    with pytest.raises(ValueError, match="empty row or column"):
        association_test([1, 1, 1], [1, 0, 1])
    with pytest.raises(ValueError, match="yes or no"):
        mcnemar_test([1, 2], [0, 1])
    with pytest.raises(ValueError, match="1 and 2 outcomes are not pairs"):
        mcnemar_test([1], [0, 1])
