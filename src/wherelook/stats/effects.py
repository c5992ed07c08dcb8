"""Sizes of a difference without a unit, with intervals that allow for clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from wherelook.stats.clusters import (
    FISHER,
    STANDARDIZED,
    Array,
    Clusters,
    finite,
    influence_estimate,
)
from wherelook.stats.intervals import wilson_interval
from wherelook.stats.result import Estimate


def cohens_dz(differences: Sequence[float], *, clusters: Clusters = None, level: float = 0.95) -> Estimate:
    """Mean of paired differences in units of their standard deviation (Cohen 1988).

    The interval is made on the scale asinh(d / sqrt 2), on which the variance does not depend on d, from the influence
    z - d (z^2 - 1) / 2 of each difference, z being its distance from the mean in standard deviations.

    Raises:
        ValueError: fewer than 2 differences, or all the same.
    """
    array = finite(differences, least=2)
    deviation = float(array.std(ddof=1))
    if deviation <= 1e-12 * float(np.abs(array).max()):
        raise ValueError("all differences are the same: no standard deviation to measure them by")
    value = float(array.mean()) / deviation
    z = (array - array.mean()) / deviation
    return influence_estimate(
        "Cohen's d_z", value, z - value * (z * z - 1) / 2, clusters, level=level, link=STANDARDIZED
    )


def cliffs_delta(
    first: Sequence[float],
    second: Sequence[float],
    *,
    clusters: tuple[Sequence[object], Sequence[object]] | None = None,
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
    return influence_estimate("Cliff's delta", value, 2 * influence, names, level=level, link=FISHER)


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
