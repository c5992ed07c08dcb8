"""Permutation tests of a difference of means: paired by item, and of two separate groups."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from wherelook.stats.clusters import CHUNK, Array, Clusters, Names, Values, cluster_sums, finite, number_clusters
from wherelook.stats.effects import cliffs_delta, cohens_dz
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
    p, (low, high) = _flip_signs(sums, np.ones(count) if sizes is None else sizes, resamples, seed, level)
    mean = float(differences.mean())
    spread = np.ptp(differences) > 1e-12 * np.abs(differences).max()
    together = "" if clusters is None else " of a whole cluster"
    return Test(
        name="paired permutation test",
        statistic=mean,
        p=p,
        n=len(differences),
        effect=Estimate("mean difference", mean, low, high, "permutation, signs flipped", level),
        assumptions=f"Assumes that without an effect the differences{together} are as likely as their negatives.",
        clusters=None if clusters is None else count,
        standardized=cohens_dz(list(differences), clusters=clusters, level=level) if spread else None,
        least_p=0.0 if 2**count <= resamples else 1 / (resamples + 1),
    )


def unpaired_test(
    first: Values,
    second: Values,
    *,
    clusters: tuple[Names, Names] | None = None,
    resamples: int = 9999,
    seed: int = 0,
    level: float = 0.95,
) -> Test:
    """Permutation test that two groups of different items have the same mean, seeded.

    Values, or whole clusters, change groups: all ways where these are no more than `resamples`, else so many at random.
    The statistic is Welch's t, with cluster sums where there are clusters: the test is then right for large groups
    whose spreads differ too (Janssen 1997). Where groups are small p is no less than Welch's own, for the same reason.

    Args:
        first, second: values of each group.
        clusters: names of the clusters of both.
        resamples: random ways, at most.
        seed: of these.
        level: of the intervals.

    Raises:
        ValueError: fewer than 2 values or clusters in a group, one that is not finite, or a cluster in both groups.
    """
    groups = finite(first, least=2), finite(second, least=2)
    indices, counts = zip(
        *(number_clusters(clusters and clusters[side], len(groups[side])) for side in (0, 1)), strict=True
    )
    if clusters is not None and (shared := set(clusters[0]) & set(clusters[1])):
        raise ValueError(f"cluster {next(iter(shared))!r} is in both groups; expected a paired test or a mixed model")
    if min(counts) < 2:
        raise ValueError(f"{counts[0]} and {counts[1]} clusters; expected 2 or more in each group")
    # Tests compare differences: a common shift changes nothing, and rounding is least around zero.
    middle = float(np.concatenate(groups).mean())
    sums = np.concatenate([cluster_sums(groups[side] - middle, indices[side], counts[side]) for side in (0, 1)])
    sizes = np.concatenate([np.bincount(index) for index in indices]).astype(np.float64)
    observed = np.zeros((1, len(sums)))
    observed[0, : counts[0]] = 1
    difference, error, degrees = _welch(observed, sums, sizes)
    statistic = float(_ratio(difference, error)[0])
    p = _move_between_groups(abs(statistic), sums, sizes, counts[0], resamples, seed)
    if error[0] > 0:
        p = max(p, float(2 * student.sf(abs(statistic), degrees[0])))
    half = float(student.ppf((1 + level) / 2, degrees[0]) * error[0]) if error[0] > 0 else 0.0
    gap = float(difference[0])
    return Test(
        name="permutation test with Welch's t",
        statistic=statistic,
        p=p,
        n=len(groups[0]) + len(groups[1]),
        effect=Estimate("difference of means", gap, gap - half, gap + half, "Welch's t", level),
        assumptions=f"Assumes that {'values' if clusters is None else 'clusters'} are independent and, where few, that "
        "without an effect both groups have one distribution.",
        clusters=None if clusters is None else sum(counts),
        standardized=cliffs_delta(groups[0].tolist(), groups[1].tolist(), clusters=clusters, level=level),
        least_p=0.0 if math.comb(sum(counts), counts[0]) <= resamples else 1 / (resamples + 1),
    )


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


def _move_between_groups(observed: float, sums: Array, sizes: Array, first: int, resamples: int, seed: int) -> float:
    """Share of the ways to choose `first` of the clusters whose statistic is as far from zero as the observed one."""
    count = len(sums)
    if math.comb(count, first) <= resamples:
        chosen = np.array(list(combinations(range(count), first)))
        members = np.zeros((len(chosen), count))
        np.put_along_axis(members, chosen, 1, axis=1)
        return float(np.mean(_statistics(members, sums, sizes) >= observed * (1 - 1e-9)))
    rng, extreme = np.random.default_rng(seed), 1
    start = np.arange(count) < first
    portion = max(1, CHUNK // count)
    for done in range(0, resamples, portion):
        members = rng.permuted(np.tile(start, (min(portion, resamples - done), 1)), axis=1).astype(np.float64)
        extreme += int(np.count_nonzero(_statistics(members, sums, sizes) >= observed * (1 - 1e-9)))
    return extreme / (resamples + 1)


def _statistics(members: Array, sums: Array, sizes: Array) -> Array:
    difference, error, _ = _welch(members, sums, sizes)
    return np.abs(_ratio(difference, error))


def _welch(members: Array, sums: Array, sizes: Array) -> tuple[Array, Array, Array]:
    """Difference of means, its standard error and degrees of freedom, for each row of `members` (1: first group)."""
    means, variances, counts = [], [], []
    for inside in (members, 1 - members):
        count, size = inside.sum(axis=1), inside @ sizes
        mean = inside @ sums / size
        squares = inside @ sums**2 - 2 * mean * (inside @ (sums * sizes)) + mean**2 * (inside @ sizes**2)
        means.append(mean)
        variances.append(np.maximum(squares, 0) * count / (count - 1) / size**2)
        counts.append(count)
    total = variances[0] + variances[1]
    parts = variances[0] ** 2 / (counts[0] - 1) + variances[1] ** 2 / (counts[1] - 1)
    degrees = np.divide(total**2, parts, out=np.ones_like(total), where=parts > 0)
    # Rounding leaves a trace of a variance where there is none.
    total[total < 1e-20 * (sums @ sums) / sizes.sum() ** 2] = 0
    return means[0] - means[1], np.sqrt(total), degrees


def _ratio(difference: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    """difference / error; without any spread infinite, and zero where there is no difference either."""
    huge = np.where(np.abs(difference) > 0, np.copysign(np.inf, difference), 0.0)
    return np.divide(difference, error, out=huge, where=error > 0)
