"""Do models differ, where each item is seen by several? A linear model with a random intercept for every item."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import f as fisher
from scipy.stats import ncf
from scipy.stats import t as student

from wherelook.stats.clusters import Array, Names, Values, cluster_sums, finite, number_clusters
from wherelook.stats.result import Estimate, Test

LARGEST_SHARE = 1 - 1e-6
"""Of the variance between items: beyond it nothing is left within them."""


@dataclass(frozen=True)
class _Design:
    """The data as matrices: values (n,), columns (n, c) with the intercept first, item numbers (n,).

    Of each item its size, the sum of its values and the sums of its columns.
    """

    values: Array
    columns: Array
    names: tuple[str, ...]
    factors: Mapping[str, slice]
    item: NDArray[np.intp]
    sizes: Array
    value_sums: Array
    column_sums: Array


@dataclass(frozen=True)
class _Fit:
    """Coefficients (c,), their covariance (c, c), and -2 log of the restricted likelihood but for a constant."""

    coefficients: Array
    covariance: Array
    deviance: float


def mixed_model(
    values: Values,
    factors: Mapping[str, Names],
    items: Names,
    *,
    level: float = 0.95,
) -> dict[str, Test]:
    """Tests whether the mean depends on each of several factors, such as architecture and scale, given the others.

    value = intercept + effects of the factors' levels + an intercept of the item + error, the last two normal; fitted
    by restricted maximum likelihood (Laird and Ware 1982). With one random intercept the likelihood has one unknown
    beside what least squares gives, the share of the variance between items, and its maximum is searched over the whole
    of [0, 1): there is nothing that could fail to converge.

    Each factor has a Wald F-test. Its denominator degrees of freedom are those within items, or between items for a
    factor that never varies within one (Pinheiro and Bates 2000, section 2.4). For complete data this is the analysis
    of variance for repeated measures. The effect is the difference of means of a factor with two levels, and partial
    eta squared of one with more.

    Args:
        values: one per item and combination of levels; combinations may be missing.
        factors: the level of each value, by the factor's name.
        items: the item of each value.
        level: of the intervals.

    Returns:
        The test of each factor, by its name.

    Raises:
        ValueError: lengths differ, a factor with one level, factors that cannot be told apart, too few items, no
            variance within items.
    """
    design = _make_design(values, factors, items)
    fit = _generalized_least_squares(design, _share_between(design))
    return {factor: _test_factor(design, fit, factor, level) for factor in design.factors}


def _make_design(values: Values, factors: Mapping[str, Names], items: Names) -> _Design:
    array = finite(values, least=3)
    if np.ptp(array) == 0:
        raise ValueError("all values are the same: nothing to compare")
    item, count = number_clusters(items, len(array))
    columns, names, places = [np.ones(len(array))], ["intercept"], {}
    for factor, levels in factors.items():
        if len(levels) != len(array):
            raise ValueError(f"factor {factor!r} has {len(levels)} levels for {len(array)} values; expected as many")
        known = list(dict.fromkeys(levels))
        if len(known) < 2:
            raise ValueError(f"factor {factor!r} has one level only: nothing to compare")
        number, _ = number_clusters(levels, len(array))
        places[factor] = slice(len(columns), len(columns) + len(known) - 1)
        for place, name in enumerate(known[1:], start=1):
            columns.append((number == place).astype(np.float64))
            names.append(f"{factor}: {name} - {known[0]}")
    if not places:
        raise ValueError("no factors: nothing to compare")
    matrix = np.stack(columns, axis=1)
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        raise ValueError(f"factors {', '.join(map(repr, factors))} cannot be told apart: their levels go together")
    if not 2 <= count < len(array):
        raise ValueError(f"{len(array)} values of {count} items; expected 2 items or more, and several values of some")
    centered, sizes = array - array.mean(), np.bincount(item).astype(np.float64)
    column_sums = np.stack([cluster_sums(column, item, count) for column in columns], axis=1)
    value_sums = cluster_sums(centered, item, count)
    return _Design(
        values=centered,
        columns=matrix,
        names=tuple(names),
        factors=places,
        item=item,
        sizes=sizes,
        value_sums=value_sums,
        column_sums=column_sums,
    )


def _share_between(design: _Design) -> float:
    """The share of the variance between items that has the largest restricted likelihood, in [0, LARGEST_SHARE]."""

    def deviance(share: float) -> float:
        return _generalized_least_squares(design, share).deviance

    # Steps that are finer towards the end, where a share means the most; then the best place between two neighbors.
    steps = [0.0, *(1 - np.geomspace(1, 1 - LARGEST_SHARE, 13)[1:])]
    best = int(np.argmin([deviance(share) for share in steps]))
    around = steps[max(best - 1, 0)], steps[min(best + 1, len(steps) - 1)]
    found = float(minimize_scalar(deviance, bounds=around, method="bounded", options={"xatol": 1e-9}).x)
    share = found if deviance(found) < deviance(steps[best]) else float(steps[best])
    if 1 - share < 2 * (1 - LARGEST_SHARE):
        raise ValueError("no variance is left within items: there is nothing to compare a difference with")
    return share


def _generalized_least_squares(design: _Design, share: float) -> _Fit:
    """Fit for a known share of the variance between items.

    With r = share / (1 - share) the inverse covariance of an item of n values is (I - r / (1 + n r) 11') / within.
    """
    ratio = share / (1 - share)
    columns, shrink = design.columns, ratio / (1 + ratio * design.sizes)
    sums = design.column_sums
    information = columns.T @ columns - sums.T @ (shrink[:, None] * sums)
    projected = columns.T @ design.values - sums.T @ (shrink * design.value_sums)
    coefficients: Array = np.asarray(np.linalg.solve(information, projected), dtype=np.float64)
    residuals = design.values - columns @ coefficients
    squares = float(residuals @ residuals - shrink @ (design.value_sums - sums @ coefficients) ** 2)
    degrees = len(columns) - columns.shape[1]
    deviance = (
        degrees * math.log(squares) + np.log1p(ratio * design.sizes).sum() + float(np.linalg.slogdet(information)[1])
    )
    covariance = np.asarray(np.linalg.inv(information) * (squares / degrees), dtype=np.float64)
    return _Fit(coefficients, covariance, float(deviance))


def _degrees(design: _Design, place: slice) -> int:
    """Denominator degrees of freedom: within items, or between them for a factor constant within every item."""
    columns = design.columns
    inside = columns - (design.column_sums / design.sizes[:, None])[design.item]
    if np.abs(inside[:, place]).max() > 1e-12:
        degrees = len(columns) - len(design.sizes) - int(np.linalg.matrix_rank(inside))
    else:
        constant = np.abs(inside).max(axis=0) <= 1e-12
        degrees = len(design.sizes) - int(np.linalg.matrix_rank(columns[:, constant]))
    if degrees < 1:
        raise ValueError("too few values for so many levels: no degrees of freedom are left")
    return degrees


def _test_factor(design: _Design, fit: _Fit, factor: str, level: float) -> Test:
    place = design.factors[factor]
    coefficients, covariance, degrees = fit.coefficients[place], fit.covariance[place, place], _degrees(design, place)
    count = len(coefficients)
    statistic = float(coefficients @ np.linalg.solve(covariance, coefficients)) / count
    if count == 1:
        value, half = float(coefficients[0]), float(student.ppf((1 + level) / 2, degrees) * covariance[0, 0] ** 0.5)
        name = design.names[place.start]
        effect = Estimate.of(name, value, (value - half, value + half), "t, restricted likelihood", level=level)
    else:
        effect = _explained(statistic, count, degrees, level)
    return Test(
        name="F-test of a mixed model, random intercept by item",
        statistic=statistic,
        p=float(fisher.sf(statistic, count, degrees)),
        n=len(design.values),
        effect=effect,
        assumptions=f"Assumes independent items and normal errors of one spread; speaks of these levels of {factor}, "
        "not of others.",
        clusters=len(design.sizes),
    )


def _explained(statistic: float, count: int, degrees: int, level: float) -> Estimate:
    """Partial eta squared with the interval of the noncentral F distribution (Steiger 2004)."""

    def bound(probability: float) -> float:
        """The effect for which a smaller F than the observed one has this probability."""

        def excess(noncentrality: float) -> float:
            return float(ncf.cdf(statistic, count, degrees, noncentrality)) - probability

        if fisher.cdf(statistic, count, degrees) <= probability:
            return 0.0
        # Far above the largest noncentrality that could still be meant.
        top = 4 * count * statistic + 100
        noncentrality = brentq(excess, 0, top) if excess(top) < 0 else top
        return noncentrality / (noncentrality + count + degrees + 1)

    value = count * statistic / (count * statistic + degrees)
    interval = bound((1 + level) / 2), bound((1 - level) / 2)
    return Estimate.of("partial eta squared", value, interval, "noncentral F", level=level)
