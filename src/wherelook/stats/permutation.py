"""Paired differences: the permutation test of their mean, and their size without a unit.

The test is not SciPy's `permutation_test`: that one gives no interval, doubles one tail where it draws, and does not
know clusters.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.stats import t as student

from wherelook.stats.clusters import CHUNK, Array, Clusters, Values, cluster_sums, finite, number_clusters
from wherelook.stats.result import Estimate, Test

CLOSE = 1 - 1e-12
"""Sums that differ by rounding alone count as equal."""


def paired_test(
    first: Values,
    second: Values,
    *,
    clusters: Clusters = None,
    resamples: int = 9999,
    seed: int = 0,
    level: float = 0.95,
) -> Test:
    """Paired permutation test that the mean difference is zero (Fisher 1935), seeded.

    The signs of the differences are flipped, those of one cluster together: all ways where these are no more than
    `resamples`, else so many at random. The statistic is the mean of first - second. The interval holds the means that
    the same signs do not reject (Maritz 1979): it holds 0 just where p is not below 1 - `level`.

    Args:
        first, second: values of the same items in the same order.
        clusters: items of one cluster, such as questions about one image, may depend on each other.
        resamples: random ways of flipping, at most.
        seed: of these.
        level: of the intervals.

    Raises:
        ValueError: not the same number of values, none, or one that is not finite.
    """
    if len(first) != len(second) or len(first) == 0:
        raise ValueError(f"{len(first)} and {len(second)} values are not pairs")
    differences = finite(first) - finite(second)
    index, count = number_clusters(clusters, len(differences))
    sums = cluster_sums(differences, index, count)
    sizes = None if clusters is None else cluster_sums(np.ones(len(differences)), index, count)
    p, interval = _flip_signs(sums, np.ones(count) if sizes is None else sizes, resamples, seed, level)
    mean = float(differences.mean())
    spread = np.ptp(differences) > 1e-12 * np.abs(differences).max()
    together = "" if clusters is None else " of a whole cluster"
    return Test(
        name="paired permutation test",
        statistic=mean,
        p=p,
        n=len(differences),
        effect=Estimate.of("mean difference", mean, interval, "permutation, signs flipped", level=level),
        assumptions=f"Assumes that without an effect the differences{together} are as likely as their negatives.",
        clusters=None if clusters is None else count,
        standardized=cohens_dz(list(differences), clusters=clusters, level=level) if spread else None,
        least_p=0.0 if 2**count <= resamples else 1 / (resamples + 1),
    )


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
        return Estimate.of("Cohen's d_z", mean / deviation, (-math.inf, math.inf), method, level=level)
    without = (mean / deviation + moments[0] / left) / np.sqrt(spread / (left - 1))
    scaled = np.arcsinh(without / math.sqrt(2))
    error = math.sqrt((count - 1) / count * float(((scaled - scaled.mean()) ** 2).sum()))
    center, half = math.asinh(mean / deviation / math.sqrt(2)), float(student.ppf((1 + level) / 2, count - 1)) * error
    low, high = (math.sqrt(2) * math.sinh(end) if abs(end) < 700 else math.copysign(math.inf, end)
                 for end in (center - half, center + half))  # fmt: skip
    return Estimate.of("Cohen's d_z", mean / deviation, (low, high), method, level=level)


def _flip_signs(
    sums: Array, sizes: Array, resamples: int, seed: int, level: float
) -> tuple[float, tuple[float, float]]:
    """p of a zero mean, and the means that are not rejected.

    p is the share of the ways to flip signs whose sum is as far from zero as the observed one. Where the true mean is
    m, the sums of clusters are of `sums` - m `sizes`.
    """
    count = len(sums)
    if 2**count <= resamples:
        signs = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        flipped, weights = signs @ sums, signs @ sizes
    else:
        rng = np.random.default_rng(seed)
        portion = max(4, CHUNK // count // 4 * 4)
        parts = [(np.array([sums.sum()]), np.array([sizes.sum()]))]  # the observed signs are one of the ways
        for start in range(0, resamples, portion):
            signs = rng.integers(0, 2, (min(portion, resamples - start), count), dtype=np.int8) * 2 - 1
            parts.append((signs @ sums, signs @ sizes))
        flipped, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    total, mass = float(sums.sum()), float(sizes.sum())

    def p_of(mean: float) -> float:
        limit = abs(total - mean * mass) * CLOSE - 1e-15 * np.abs(sums).sum()
        return float(np.count_nonzero(np.abs(flipped - mean * weights) >= limit) / len(flipped))

    estimate = total / mass
    reach = max(float(np.abs(sums / sizes - estimate).max()), 1e-9 * max(1.0, abs(estimate)))
    low, high = (_last_kept(p_of, estimate, sign * reach, 1 - level) for sign in (-1, 1))
    return p_of(0.0), (low, high)


def _last_kept(p_of: Callable[[float], float], estimate: float, reach: float, least: float) -> float:
    """The farthest mean in one direction whose p is not below `least`; infinite where no mean is rejected."""
    kept, rejected = estimate, estimate + reach
    for _ in range(60):  # beyond the farthest value p falls no more
        if p_of(rejected) < least:
            break
        kept, rejected = rejected, estimate + 2 * (rejected - estimate)
    else:
        return math.copysign(math.inf, reach)
    for _ in range(50):
        middle = (kept + rejected) / 2
        kept, rejected = (middle, rejected) if p_of(middle) >= least else (kept, middle)
    return kept
