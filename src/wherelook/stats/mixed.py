"""Do models differ, where each item is seen by all of them? A linear model with a random intercept for every item."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import f as fisher
from scipy.stats import ncf
from scipy.stats import t as student

from wherelook.stats.clusters import Array, bootstrap_weights, finite, number_clusters
from wherelook.stats.result import Estimate, Test
from wherelook.types import WherelookError


@dataclass(frozen=True)
class MixedModel:
    """A fitted model.

    Attributes:
        tests: an F-test for each factor, given the others.
        differences: for each factor and level but the first, its mean minus that of the first level, given the others;
            names are "factor: level - first level".
        bootstrap: the same differences by least squares, with intervals from items drawn with replacement. They assume
            neither normal values nor equal spread: differences that disagree with them are not to be trusted.
        item_share: share of the residual variance that is between items, in [0, 1]; None with a fallback.
        fallback: why the mixed model could not be fitted and least squares stand in for it; None where it was fitted.
    """

    tests: Mapping[str, Test]
    differences: Mapping[str, Estimate]
    bootstrap: Mapping[str, Estimate]
    item_share: float | None
    fallback: str | None


@dataclass(frozen=True)
class _Design:
    """The data as matrices: values (n,), columns (n, c) with the intercept first, item numbers (n,)."""

    values: Array
    columns: Array
    names: tuple[str, ...]
    factors: Mapping[str, slice]
    item: NDArray[np.intp]
    items: int


@dataclass(frozen=True)
class _Fit:
    """Coefficients and their covariance, with the variances within and between items that they came from."""

    coefficients: Array
    covariance: Array
    item_share: float | None


def mixed_model(
    values: Sequence[float],
    factors: Mapping[str, Sequence[Hashable]],
    items: Sequence[Hashable],
    *,
    resamples: int = 1999,
    seed: int = 0,
    level: float = 0.95,
) -> MixedModel:
    """Tests whether the mean depends on each of several factors, such as architecture and scale, given the others.

    value = intercept + effects of the factors' levels + an intercept of the item + error, the last two normal; fitted
    by restricted maximum likelihood (Laird and Ware 1982). Each factor has a Wald F-test. Its denominator degrees of
    freedom are those within items, or between items for a factor that never varies within one (Pinheiro and Bates
    2000, section 2.4): for complete data this is the analysis of variance for repeated measures.

    Where the fit fails, `fallback` says why. Least squares with a covariance that adds up residuals within items
    then take its place, with Hotelling's F.

    Args:
        values: one per item and combination of levels.
        factors: the level of each value, by the factor's name.
        items: the item of each value.
        resamples: for the bootstrap.
        seed: of these.
        level: of the intervals.

    Raises:
        ValueError: lengths differ, a factor with one level, factors that cannot be told apart, or too few items.
        WherelookError: statsmodels is not installed.
    """
    design = _make_design(values, factors, items)
    fallback = None
    try:
        fit = _restricted_likelihood(design)
    except _NotFittedError as error:
        fallback, fit = str(error), _least_squares(design)
    tests, differences = {}, {}
    for factor, place in design.factors.items():
        degrees = _degrees(design, place) if fallback is None else design.items - 1
        tests[factor], found = _test_factor(design, fit, factor, place, degrees, fallback is not None, level)
        differences.update(found)
    return MixedModel(
        tests=MappingProxyType(tests),
        differences=MappingProxyType(differences),
        bootstrap=MappingProxyType(_bootstrap(design, resamples, seed, level)),
        item_share=fit.item_share,
        fallback=fallback,
    )


class _NotFittedError(Exception):
    """The mixed model could not be fitted; the text says why."""


def _make_design(
    values: Sequence[float], factors: Mapping[str, Sequence[Hashable]], items: Sequence[Hashable]
) -> _Design:
    array = finite(values, least=3)
    item, count = number_clusters(items, len(array))
    columns, names, places = [np.ones(len(array))], ["intercept"], {}
    for factor, levels in factors.items():
        if len(levels) != len(array):
            raise ValueError(
                f"factor {factor!r} has {len(levels)} levels for {len(array)} values; expected one for each"
            )
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
        raise ValueError(
            f"factors {', '.join(map(repr, factors))} cannot be told apart: their levels always go together"
        )
    widest = max(place.stop - place.start for place in places.values())
    if count < widest + 2 or count == len(array):
        raise ValueError(f"{len(array)} values of {count} items; expected several of each item, and {widest + 2} items")
    return _Design(array, matrix, tuple(names), places, item, count)


def _restricted_likelihood(design: _Design) -> _Fit:
    try:
        from statsmodels.regression.mixed_linear_model import MixedLM
    except ImportError as error:
        raise WherelookError(
            "mixed models need statsmodels; install it with: pip install 'wherelook[study]'"
        ) from error
    scale = float(design.values.std())
    if scale == 0:
        raise _NotFittedError("all values are the same")
    with warnings.catch_warnings():  # what matters of them is read from the result
        warnings.simplefilter("ignore")
        try:
            result = MixedLM(design.values / scale, design.columns, design.item).fit(reml=True)
        except (np.linalg.LinAlgError, ValueError, FloatingPointError) as error:
            raise _NotFittedError(f"statsmodels: {error}") from error
    within, between = float(result.scale) * scale**2, float(result.cov_re[0, 0]) * scale**2
    if not result.converged:
        raise _NotFittedError("the optimiser did not converge")
    if not (math.isfinite(within) and math.isfinite(between) and within > 1e-12 * scale**2):
        raise _NotFittedError("no variance is left within items")
    return _generalized_least_squares(design, within, max(between, 0.0))


def _generalized_least_squares(design: _Design, within: float, between: float) -> _Fit:
    """Coefficients and covariance for given variances within and between items.

    The inverse covariance of an item with n values is (I - between / (within + n between) 11') / within.
    """
    columns = design.columns
    sizes = np.bincount(design.item)
    shrink = between / (within + sizes * between)
    column_sums = np.stack([np.bincount(design.item, weights=column) for column in columns.T], axis=1)
    value_sums = np.bincount(design.item, weights=design.values)
    information = (columns.T @ columns - column_sums.T @ (shrink[:, None] * column_sums)) / within
    projected = (columns.T @ design.values - column_sums.T @ (shrink * value_sums)) / within
    covariance = np.linalg.inv(information)
    return _Fit(covariance @ projected, covariance, between / (within + between))


def _least_squares(design: _Design) -> _Fit:
    """Least squares with residuals added up within items (Liang and Zeger 1986)."""
    columns = design.columns
    inverse = np.linalg.inv(columns.T @ columns)
    coefficients = inverse @ columns.T @ design.values
    residuals = design.values - columns @ coefficients
    scores = np.stack([np.bincount(design.item, weights=column * residuals) for column in columns.T], axis=1)
    factor = design.items / (design.items - 1)
    return _Fit(coefficients, factor * inverse @ scores.T @ scores @ inverse, None)


def _degrees(design: _Design, place: slice) -> int:
    """Denominator degrees of freedom: within items, or between them for a factor constant within every item."""
    columns = design.columns
    means = np.stack([np.bincount(design.item, weights=column) for column in columns.T], axis=1)
    means /= np.bincount(design.item)[:, None]
    inside = columns - means[design.item]
    if np.abs(inside[:, place]).max() > 1e-12:
        degrees = len(columns) - design.items - int(np.linalg.matrix_rank(inside))
    else:
        constant = np.abs(inside).max(axis=0) <= 1e-12
        degrees = design.items - int(np.linalg.matrix_rank(columns[:, constant]))
    if degrees < 1:
        raise ValueError("too few values for so many levels: no degrees of freedom are left")
    return degrees


def _test_factor(
    design: _Design, fit: _Fit, factor: str, place: slice, degrees: int, fallback: bool, level: float
) -> tuple[Test, dict[str, Estimate]]:
    coefficients, covariance = fit.coefficients[place], fit.covariance[place, place]
    count = len(coefficients)
    wald = float(coefficients @ np.linalg.pinv(covariance, hermitian=True) @ coefficients)
    residual = degrees - count + 1 if fallback else degrees  # Hotelling's T squared as an F
    statistic = wald / count * residual / degrees
    half = float(student.ppf((1 + level) / 2, degrees))
    method = "t, residuals by item" if fallback else "t, restricted maximum likelihood"
    differences = {}
    for position in range(place.start, place.stop):
        name, value = design.names[position], float(fit.coefficients[position])
        reach = half * math.sqrt(fit.covariance[position, position])
        differences[name] = Estimate(name, value, value - reach, value + reach, method, level)
    effect = _explained(statistic, count, residual, level) if count > 1 else next(iter(differences.values()))
    test = Test(
        name="F-test of least squares, residuals by item" if fallback else "F-test of a mixed model, intercept by item",
        statistic=statistic,
        p=float(fisher.sf(statistic, count, residual)),
        n=len(design.values),
        effect=effect,
        assumptions=f"Assumes independent items{'' if fallback else ', normal errors of one spread'}; speaks of these "
        f"levels of {factor}, not of others.",
        clusters=design.items,
    )
    return test, differences


def _explained(statistic: float, count: int, residual: int, level: float) -> Estimate:
    """Partial eta squared with the interval of the noncentral F distribution (Steiger 2004)."""
    total = count + residual + 1

    def bound(probability: float) -> float:
        """The share of the noncentrality with which a smaller F has this probability."""

        def excess(noncentrality: float) -> float:
            return float(ncf.cdf(statistic, count, residual, noncentrality)) - probability

        if fisher.cdf(statistic, count, residual) <= probability:
            return 0.0
        top = 1.0
        while excess(top) > 0 and top < 1e7:
            top *= 2
        noncentrality = brentq(excess, 0, top) if excess(top) < 0 else top
        return noncentrality / (noncentrality + total)

    value = count * statistic / (count * statistic + residual)
    low, high = bound((1 + level) / 2), bound((1 - level) / 2)
    return Estimate("partial eta squared", value, low, high, "noncentral F", level)


def _bootstrap(design: _Design, resamples: int, seed: int, level: float) -> dict[str, Estimate]:
    """Least squares with items drawn with replacement; bootstrap standard error and Student's t."""
    columns, width = design.columns, design.columns.shape[1]
    products = np.zeros((design.items, width, width))
    np.add.at(products, design.item, columns[:, :, None] * columns[:, None, :])
    projected = np.zeros((design.items, width))
    np.add.at(projected, design.item, columns * design.values[:, None])
    drawn = []
    for weights in bootstrap_weights(design.items, resamples=resamples, seed=seed, items=design.items * width):
        moments = np.einsum("rg,gij->rij", weights, products)
        usable = np.linalg.matrix_rank(moments, hermitian=True) == width  # a level can be missing from a resample
        drawn.append(np.linalg.solve(moments[usable], (weights @ projected)[usable][..., None])[..., 0])
    deviations = np.concatenate(drawn).std(axis=0, ddof=1)
    values = np.linalg.solve(products.sum(axis=0), projected.sum(axis=0))
    # A resample of G items has too little spread, by (G - 1) / G.
    half = float(student.ppf((1 + level) / 2, design.items - 1)) * math.sqrt(design.items / (design.items - 1))
    return {
        name: Estimate(
            name, float(value), float(value - half * error), float(value + half * error), "t, items drawn", level
        )
        for name, value, error in zip(design.names[1:], values[1:], deviations[1:], strict=True)
    }
