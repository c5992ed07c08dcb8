"""Items that belong together, such as questions about one image: how they are counted, resampled and allowed for."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from wherelook.stats.result import Estimate

Array = NDArray[np.float64]
Values = Sequence[float] | NDArray[Any]
"""A number for every item, shape (items,)."""
Outcomes = Sequence[float] | NDArray[Any]
"""Yes or no for every item, as bool, 1 or 0."""
Names = Sequence[Hashable] | NDArray[Any]
"""Names of anything, one for every item."""
Clusters = Names | None
"""For every item the name of its cluster; None where every item stands alone."""

CHUNK = 4_000_000
"""Numbers that a resampling holds at once."""


def finite(values: Values, *, least: int = 1) -> Array:
    """The values as float64.

    Raises:
        ValueError: fewer than `least`, or one that is not a finite number.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < least:
        raise ValueError(f"{len(array) if array.ndim else 0} values; expected a list of {least} or more")
    if not np.isfinite(array).all():
        raise ValueError(f"value {int(np.argmin(np.isfinite(array)))} is not a finite number")
    return array


def number_clusters(clusters: Clusters, count: int) -> tuple[NDArray[np.intp], int]:
    """For each of `count` items the number of its cluster, from 0 on, and how many clusters there are.

    Raises:
        ValueError: not a cluster for every item.
    """
    if clusters is None:
        return np.arange(count), count
    if len(clusters) != count:
        raise ValueError(f"{len(clusters)} clusters for {count} values; expected one for each")
    numbers: dict[Hashable, int] = {}
    index = np.array([numbers.setdefault(name, len(numbers)) for name in clusters], dtype=np.intp)
    return index, len(numbers)


def cluster_sums(values: Array, index: NDArray[np.intp], count: int) -> Array:
    """Sum of the values of each cluster, shape (count,)."""
    return np.bincount(index, weights=values, minlength=count).astype(np.float64)


def standard_error(influence: Array, clusters: Clusters = None) -> tuple[float, int]:
    """Standard error of an estimate from the influence of each item on it, and its degrees of freedom.

    The influence is the first-order effect of an item, scaled so that an estimate minus its true value is about the
    mean influence (Hampel 1974). Influences are added up within clusters (Liang and Zeger 1986), with the factor
    G / (G - 1) for G clusters; G - 1 degrees of freedom.
    """
    index, count = number_clusters(clusters, len(influence))
    if count < 2:
        return math.inf, 1
    sums = cluster_sums(influence - influence.mean(), index, count)
    return float(np.sqrt(count / (count - 1) * (sums @ sums)) / len(influence)), count - 1


def influence_estimate(
    name: str,
    value: float,
    influence: Array,
    clusters: Clusters,
    *,
    level: float,
    fisher: bool = False,
    of_ranks: bool = False,
) -> Estimate:
    """An estimate with the interval that its influences and Student's t give.

    Args:
        fisher: of what lies in (-1, 1): the interval is made on the scale atanh(value) (Fisher 1915), on which it is
            about normal.
        of_ranks: the influences are of ranks, whose spread hardly varies: without clusters the normal quantile is
            taken.
    """
    error, degrees = standard_error(influence, clusters)
    is_normal = of_ranks and clusters is None
    method = f"{'normal' if is_normal else 't'}, influence of {'items' if clusters is None else 'clusters'}"
    quantile = norm.ppf((1 + level) / 2) if is_normal else student.ppf((1 + level) / 2, degrees)
    half = float(quantile) * error
    if not fisher:
        return Estimate.of(name, value, (value - half, value + half), method, level=level)
    center, half = math.atanh(value), half / (1 - value * value)
    return Estimate.of(name, value, (math.tanh(center - half), math.tanh(center + half)), method, level=level)
