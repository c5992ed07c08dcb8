"""Tests of yes and no: paired shares, and the 2 x 2 table."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student

from wherelook.stats.clusters import Clusters, Outcomes, finite, number_clusters, standard_error
from wherelook.stats.result import Estimate, Test

Table = tuple[tuple[int, int], tuple[int, int]]
"""Counts ((a, b), (c, d)): rows are the condition with and without, columns the outcome yes and no."""

SMALL_CELL = 5
"""Below this the influences of a table's cells say too little of its error."""

FARTHEST = 100.0
"""The logarithm of an odds ratio that no table of counts bounds."""

TINY = 1e-300


def mcnemar_test(first: Outcomes, second: Outcomes, *, level: float = 0.95) -> Test:
    """McNemar's test that two paired shares are equal (McNemar 1947): is `first` right as often as `second`?

    The statistic is the score (b - c) / sqrt(b + c) of the items where only `first` and only `second` is right; p is
    normal, without a correction (Fagerland et al. 2013). The effect is the difference of shares with the interval of
    the same score (Tango 1998, equation 9): it holds 0 just where p is not below 1 - `level`. For items in clusters use
    `paired_test` on ones and zeros.

    Raises:
        ValueError: not the same number of outcomes, none, or one that is neither yes nor no.
    """
    (both, only_first), (only_second, neither) = _count_table(first, second)
    discordant = only_first + only_second
    total = both + discordant + neither
    difference, interval = (only_first - only_second) / total, _tango(only_first, only_second, total, level)
    statistic = (only_first - only_second) / math.sqrt(discordant) if discordant else 0.0
    return Test(
        name="McNemar's test",
        statistic=statistic,
        p=float(2 * norm.sf(abs(statistic))),
        n=total,
        effect=Estimate.of("difference of shares", difference, interval, "score", level=level),
        assumptions="Assumes that items are independent; only items where the two disagree count.",
    )


def association_test(condition: Outcomes, outcome: Outcomes, *, clusters: Clusters = None, level: float = 0.95) -> Test:
    """Does an outcome go with a condition, such as a right answer with a look at the right place?

    Without clusters the chi-squared test with the factor (N - 1) / N (Pearson 1947; Campbell 2007), whose score also
    makes the interval of `odds_ratio`: it holds 1 just where p is not below 1 - `level`. With clusters a t-test of the
    logarithm of the odds ratio (one half added to every cell), whose standard error adds up influences within clusters,
    G - 1 degrees of freedom. With a cell below 5 it is not taken to be less than Woolf's, which knows that empty cells
    could have been filled.

    Raises:
        ValueError: not the same number, none, neither yes nor no, or a condition or outcome that never varies.
    """
    table = _count_table(condition, outcome)
    _check_margins(table)
    total = int(np.sum(table))
    if clusters is None:
        statistic = _score(table, 0.0)
        return Test(
            name="chi-squared test (N - 1)",
            statistic=statistic,
            p=float(2 * norm.sf(abs(statistic))),
            n=total,
            effect=odds_ratio(table, level=level),
            assumptions="Assumes that items are independent, and that about one or more is expected in every cell.",
        )
    ratio, woolf = _haldane(table)
    cells = np.array(table, dtype=np.float64) + 0.5
    rows, columns = 1 - finite(condition).astype(np.intp), 1 - finite(outcome).astype(np.intp)
    influence = np.where(rows == columns, 1.0, -1.0) * total / cells[rows, columns]
    error, degrees = standard_error(influence, clusters)
    if cells.min() < SMALL_CELL:
        error = max(error, woolf)
    count = number_clusters(clusters, total)[1]
    statistic = math.log(ratio) / error
    half = float(student.ppf((1 + level) / 2, degrees)) * error
    interval = _exp(math.log(ratio) - half), _exp(math.log(ratio) + half)
    return Test(
        name="t-test of the log odds ratio with clusters",
        statistic=statistic,
        p=float(2 * student.sf(abs(statistic), degrees)),
        n=total,
        effect=Estimate.of("odds ratio", ratio, interval, "t, clusters", level=level),
        assumptions="Assumes that clusters are independent and that there are more than about 20.",
        clusters=count,
    )


def odds_ratio(table: Table, *, level: float = 0.95) -> Estimate:
    """Odds of the outcome with the condition by those without.

    One half is added to every cell (Haldane 1956). The interval holds the odds ratios that a score test does not reject
    (Cornfield 1956, without his correction; Miettinen and Nurminen 1985), for tables with empty cells too.

    Raises:
        ValueError: a row or a column without items, or a negative count.
    """
    _check_margins(table)
    (a, b), (c, d) = table
    ratio, _ = _haldane(table)
    quantile = float(norm.ppf((1 + level) / 2))

    low = brentq(lambda place: _score(table, place) - quantile, -FARTHEST, FARTHEST) if min(a, d) > 0 else -math.inf
    high = brentq(lambda place: _score(table, place) + quantile, -FARTHEST, FARTHEST) if min(b, c) > 0 else math.inf
    return Estimate.of("odds ratio", ratio, (_exp(low), _exp(high)), "score", level=level)


def _score(table: Table, logarithm: float) -> float:
    """Standard errors by which the first cell is above what is expected at this logarithm of the odds ratio."""
    (a, b), (c, d) = table
    expected = _first_cell(math.exp(logarithm), a + b, c + d, a + c)
    cells = (expected, a + b - expected, a + c - expected, d - a + expected)
    total = a + b + c + d
    spread = math.fsum(1 / max(cell, TINY) for cell in cells) ** -0.5 * math.sqrt(total / (total - 1))
    result: float = (a - expected) / spread
    return result


def _first_cell(ratio: float, row: int, other_row: int, column: int) -> float:
    """The first cell of the 2 x 2 table with this odds ratio and these sums of two rows and of the first column."""
    excess = ratio - 1
    linear = excess * (row + column) + row + other_row
    product = ratio * row * column
    root = math.sqrt(max(linear * linear - 4 * excess * product, 0.0))
    # Two ways to write one number; each is a difference of nearly equal ones where the other is not.
    return 2 * product / (linear + root) if linear > 0 else (linear - root) / (2 * excess)


def _count_table(condition: Outcomes, outcome: Outcomes) -> Table:
    """The 2 x 2 table of two lists of yes and no.

    Raises:
        ValueError: not the same number, none, or one that is neither yes nor no.
    """
    if len(condition) != len(outcome) or len(condition) == 0:
        raise ValueError(f"{len(condition)} and {len(outcome)} outcomes are not pairs")
    rows, columns = finite(condition), finite(outcome)
    if not (np.isin(rows, (0, 1)).all() and np.isin(columns, (0, 1)).all()):
        raise ValueError("outcomes must be yes or no (1 or 0)")
    counts: NDArray[np.intp] = np.bincount((3 - 2 * rows - columns).astype(np.intp), minlength=4)
    a, b, c, d = (int(count) for count in counts)
    return (a, b), (c, d)


def _check_margins(table: Table) -> None:
    counts = np.array(table)
    if (counts < 0).any() or not (counts.sum(axis=0).all() and counts.sum(axis=1).all()):
        raise ValueError(f"table {table} has an empty row or column: no ratio can be told")


def _haldane(table: Table) -> tuple[float, float]:
    """Odds ratio with one half added to every cell, and the standard error of its logarithm."""
    (a, b), (c, d) = (tuple(count + 0.5 for count in row) for row in table)
    return a * d / (b * c), math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _tango(only_first: int, only_second: int, total: int, level: float) -> tuple[float, float]:
    """The differences of two paired shares that the score test does not reject."""
    quantile = float(norm.ppf((1 + level) / 2))

    def score(difference: float) -> float:
        """Standard errors by which the difference of counts is above what is expected at this one."""
        linear = -only_first - only_second + (2 * total - only_first + only_second) * difference
        constant = -only_second * difference * (1 - difference)
        root = math.sqrt(max(linear * linear - 8 * total * constant, 0.0))
        other = (root - linear) / (4 * total)  # the likeliest share where only the second is right
        variance = max(total * (2 * other + difference * (1 - difference)), TINY)
        return (only_first - only_second - total * difference) / math.sqrt(variance)

    ends = -1 + 1e-12, 1 - 1e-12
    low = -1.0 if score(ends[0]) <= quantile else float(brentq(lambda place: score(place) - quantile, *ends))
    high = 1.0 if score(ends[1]) >= -quantile else float(brentq(lambda place: score(place) + quantile, *ends))
    return low, high
