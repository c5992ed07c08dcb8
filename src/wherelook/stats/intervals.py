"""Intervals for shares and means.

Wilson's interval is not SciPy's: that one takes whole numbers of items, and clusters have an effective number of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import bootstrap, norm
from scipy.stats import t as student

from wherelook.stats.clusters import (
    CHUNK,
    Clusters,
    Outcomes,
    Values,
    cluster_sums,
    finite,
    influence_estimate,
    number_clusters,
)
from wherelook.stats.result import Estimate

CLOSE = 1e-9
"""Spread and skewness below this are rounding."""


def wilson_interval(successes: int, total: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927): honest for shares near 0 and 1, unlike the normal one.

    Raises:
        ValueError: unless 0 <= successes <= total and total > 0.
    """
    if not 0 <= successes <= total or total == 0:
        raise ValueError(f"{successes} of {total} is not a share")
    return _score_interval(successes / total, total, float(norm.ppf((1 + level) / 2)))


def share_interval(outcomes: Outcomes, *, clusters: Clusters = None, level: float = 0.95) -> Estimate:
    """A share of yes among yes and no.

    Without clusters Wilson's interval. With them Wilson's for the effective number of items, n divided by the design
    effect, with a quantile of t for G - 1 degrees of freedom (Dean and Pagano 2015). The design effect is the variance
    with clusters by that without; where all outcomes are the same it is not known, and a cluster counts as one item.

    Raises:
        ValueError: no outcomes, or one that is neither yes nor no.
    """
    array = finite(outcomes)
    if not np.isin(array, (0, 1)).all():
        raise ValueError("outcomes must be yes or no (1 or 0)")
    total, share = len(array), float(array.mean())
    if clusters is None:
        return Estimate.of("share", share, wilson_interval(int(array.sum()), total, level=level), "Wilson", level=level)
    index, count = number_clusters(clusters, total)
    if count < 2:
        return Estimate.of("share", share, (0.0, 1.0), "one cluster bounds nothing", level=level)
    effective = float(count)
    if 0 < share < 1:
        sums = cluster_sums(array - share, index, count)
        variance = count / (count - 1) * float(sums @ sums) / total**2
        effective = min(float(total), share * (1 - share) / max(variance, 1e-300))
    interval = _score_interval(share, effective, float(student.ppf((1 + level) / 2, count - 1)))
    return Estimate.of("share", share, interval, "Wilson, effective number of items", level=level)


def mean_interval(values: Values, *, clusters: Clusters = None, level: float = 0.95) -> Estimate:
    """A mean with Student's interval, from cluster sums where there are clusters.

    Without clusters it leans to the side of the values' long tail: Student's statistic is transformed so that its
    distribution loses its skewness (Hall 1992, the cubic transformation). Covers less than it says where few clusters
    are very unequal in size, or where few values do not show the tail that they come from.
    """
    array = finite(values)
    mean, deviations = float(array.mean()), array - array.mean()
    estimate = influence_estimate("mean", mean, deviations, clusters, level=level)
    if clusters is not None or not float(array.std()) > CLOSE * max(1.0, abs(mean)):
        return estimate
    skewness, total = float(np.mean((deviations / array.std()) ** 3)), len(array)
    if abs(skewness) < CLOSE:
        return estimate
    spread = float(array.std(ddof=1))
    reach = (estimate.high - mean) / spread
    low, high = (mean - spread * _unskewed(bound, skewness, total) for bound in (reach, -reach))
    return replace(estimate, low=low, high=high, method="t, transformed for skewness")


def _unskewed(value: float, skewness: float, total: int) -> float:
    """The inverse of Hall's cubic transformation of (mean - true mean) / standard deviation (his equation 2.2)."""
    return float(3 / skewness * (np.cbrt(1 + skewness * (value - skewness / (6 * total))) - 1))


def bootstrap_interval(
    values: Values, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron 1979), seeded; of one value that value twice.

    It never leaves the range of the values; for few of them it is a little too narrow, see `mean_interval`.

    Raises:
        ValueError: no values.
    """
    if len(values) == 0:
        raise ValueError("no values")
    array = finite(values)
    if len(array) == 1:
        return float(array[0]), float(array[0])
    found = bootstrap(
        (array,),
        np.mean,
        n_resamples=resamples,
        confidence_level=level,
        method="percentile",
        batch=max(1, CHUNK // len(array)),
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _score_interval(share: float, total: float, z: float) -> tuple[float, float]:
    center = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5
    # At the ends the interval touches 0 or 1 exactly; rounding must not push it across.
    low = 0.0 if share == 0 else max(0.0, center - half)
    high = 1.0 if share == 1 else min(1.0, center + half)
    return low, high
