"""Sizes of a difference without a unit, with intervals that allow for clusters."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student

from wherelook.stats.clusters import (
    FISHER,
    Array,
    Clusters,
    Names,
    Values,
    cluster_sums,
    finite,
    influence_estimate,
    number_clusters,
)
from wherelook.stats.intervals import wilson_interval
from wherelook.stats.result import Estimate


def cohens_dz(differences: Values, *, clusters: Clusters = None, level: float = 0.95) -> Estimate:
    """Mean of paired differences in units of their standard deviation (Cohen 1988).

    The interval is made on the scale asinh(d / sqrt 2), on which the variance hardly depends on d, by the jackknife
    (Tukey 1958): each difference, or each cluster, is left out in turn. Student's t with one degree of freedom fewer
    than there are of them.

    Raises:
        ValueError: fewer than 2 differences, or all the same.
    """
    array = finite(differences, least=2)
    deviation = float(array.std(ddof=1))
    if deviation <= 1e-12 * float(np.abs(array).max()):
        raise ValueError("all differences are the same: no standard deviation to measure them by")
    mean = float(array.mean())
    index, count = number_clusters(clusters, len(array))
    z = (array - mean) / deviation
    sizes = np.bincount(index).astype(np.float64)
    left, moments = len(array) - sizes, [-cluster_sums(z**power, index, count) for power in (1, 2)]
    method = "t, jackknife of items" if clusters is None else "t, jackknife of clusters"
    spread = len(array) - 1 + moments[1] - np.divide(moments[0] ** 2, left, out=np.zeros(count), where=left > 0)
    if count < 2 or left.min() < 2 or spread.min() <= 1e-9:  # without one of them no spread is left
        return Estimate("Cohen's d_z", mean / deviation, -math.inf, math.inf, method, level)
    without = (mean / deviation + moments[0] / left) / np.sqrt(spread / (left - 1))
    scaled = np.arcsinh(without / math.sqrt(2))
    error = math.sqrt((count - 1) / count * float(((scaled - scaled.mean()) ** 2).sum()))
    centre, half = math.asinh(mean / deviation / math.sqrt(2)), float(student.ppf((1 + level) / 2, count - 1)) * error
    low, high = (math.sqrt(2) * math.sinh(end) if abs(end) < 700 else math.copysign(math.inf, end)
                 for end in (centre - half, centre + half))  # fmt: skip
    return Estimate("Cohen's d_z", mean / deviation, low, high, method, level)


def cliffs_delta(
    first: Values,
    second: Values,
    *,
    clusters: tuple[Names, Names] | None = None,
    level: float = 0.95,
) -> Estimate:
    """P(first > second) - P(first < second) for a value of each, in [-1, 1] (Cliff 1993).

    It is the rank-biserial correlation too.

    Args:
        first, second: values of two groups; ties count half.
        clusters: cluster names of both; one name may occur in both groups.
        level: of the interval.

    Raises:
        ValueError: a group without values.
    """
    above, below = finite(first), finite(second)
    names = None if clusters is None else [*clusters[0], *clusters[1]]
    area, influence = rank_influence(above, below)
    value = 2 * area - 1
    if abs(value) > 1 - 1e-12:  # no overlap: no spread to estimate from
        return _no_overlap("Cliff's delta", value, min(len(above), len(below)), level)
    if not np.abs(influence).max() > 1e-12:  # all tied
        return Estimate("Cliff's delta", value, -1.0, 1.0, "values that are all tied bound nothing", level)
    return influence_estimate("Cliff's delta", value, 2 * influence, names, level=level, link=FISHER, of_ranks=True)


def rank_influence(above: Array, below: Array) -> tuple[float, Array]:
    """P(above > below), ties counting half, and the influence of each item, `above` first.

    The influences are the placements of DeLong et al. (1988): for an item of one group the share of the other group
    that it beats.
    """
    m, n = len(above), len(below)
    together = rankdata(np.concatenate([above, below]))
    beats = (together[:m] - rankdata(above)) / n
    beaten = 1 - (together[m:] - rankdata(below)) / m
    area = float(beats.mean())
    # The item mean of what is returned must estimate the area: each group counts by the inverse of its share.
    return area, np.concatenate([(beats - area) * (m + n) / m, (beaten - area) * (m + n) / n])


def _no_overlap(name: str, value: float, count: int, level: float) -> Estimate:
    """Interval where one group lies wholly above the other: Wilson's for `count` of `count`, of the smaller group."""
    low, _ = wilson_interval(count, count, level=level)
    bounds = (2 * low - 1, 1.0) if value > 0 else (-1.0, 1 - 2 * low)
    return Estimate(name, value, *bounds, "Wilson, no overlap", level)
