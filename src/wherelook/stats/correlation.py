"""Does one figure rise with another? Spearman's rank correlation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from scipy.stats import t as student

from wherelook.stats.clusters import CHUNK, Array, Clusters, Values, bootstrap_weights, finite, number_clusters
from wherelook.stats.result import Estimate, Test

SHAPE = "says nothing about relations that rise and fall."


def spearman_test(
    first: Values,
    second: Values,
    *,
    clusters: Clusters = None,
    resamples: int = 1999,
    seed: int = 0,
    level: float = 0.95,
) -> Test:
    """Spearman's rank correlation of two figures of the same items (Spearman 1904), seeded.

    Without clusters a permutation test: `second` is shuffled; the interval is the percentile bootstrap's. With them
    items cannot change places: test and interval are Student's on the scale atanh(rho), with G - 1 degrees of freedom
    and the standard error that drawing whole clusters with replacement gives. A perfect order has an interval without
    width and, with clusters, none at all.

    Raises:
        ValueError: not the same number, fewer than 4 values or 3 clusters, not finite, all the same, or clusters
            in perfect order.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values are not pairs")
    x, y = finite(first, least=4), finite(second, least=4)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ValueError("all values are the same: no rank correlation")
    index, count = number_clusters(clusters, len(x))
    if count < 3:
        raise ValueError(f"{count} clusters; expected 3 or more")
    rho = float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
    drawn = _drawn(x, y, index, count, resamples, seed)
    if clusters is None:
        low, high = (float(end) for end in np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]))
        return Test(
            name="Spearman permutation test",
            statistic=rho,
            p=_shuffled(rankdata(x), rankdata(y), abs(rho), resamples, seed),
            n=len(x),
            effect=Estimate("Spearman's rho", rho, low, high, "percentile bootstrap", level),
            assumptions=f"Assumes that items are independent; {SHAPE}",
            least_p=1 / (resamples + 1),
        )
    z, error = float(_atanh(np.array([rho]))[0]), float(_atanh(drawn).std(ddof=1))
    if error < 1e-9:
        raise ValueError("every resample has the same order: no spread to judge it by")
    half = float(student.ppf((1 + level) / 2, count - 1)) * error
    return Test(
        name="Spearman bootstrap test with clusters",
        statistic=rho,
        p=float(2 * student.sf(abs(z) / error, count - 1)),
        n=len(x),
        effect=Estimate("Spearman's rho", rho, math.tanh(z - half), math.tanh(z + half), "t, clusters drawn", level),
        assumptions=f"Assumes that clusters are independent, and more than about 20; {SHAPE}",
        clusters=count,
    )


def _atanh(rho: Array) -> Array:
    """Fisher's scale; resamples without any disorder stay finite."""
    return np.arctanh(np.clip(rho, -0.9999, 0.9999))


def _shuffled(x: Array, y: Array, observed: float, resamples: int, seed: int) -> float:
    rng, extreme = np.random.default_rng(seed), 1
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt((x @ x) * (y @ y))
    portion = max(1, CHUNK // len(x))
    for done in range(0, resamples, portion):
        shuffled = rng.permuted(np.tile(y, (min(portion, resamples - done), 1)), axis=1)
        extreme += int(np.count_nonzero(np.abs(shuffled @ x) / scale >= observed - 1e-12))
    return extreme / (resamples + 1)


def _drawn(x: Array, y: Array, index: NDArray[np.intp], count: int, resamples: int, seed: int) -> Array:
    """rho of resamples of items, or of whole clusters, drawn with replacement."""
    drawn = []
    for portion in bootstrap_weights(count, resamples=resamples, seed=seed, items=len(x)):
        weights = portion[:, index]
        a, b = (_weighted_ranks(values, weights) for values in (x, y))
        total = weights.sum(axis=1, keepdims=True)
        a -= (weights * a).sum(axis=1, keepdims=True) / total
        b -= (weights * b).sum(axis=1, keepdims=True) / total
        scale = np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1))
        varied = scale > 1e-9  # a resample of one value only has no correlation
        drawn.append((weights * a * b).sum(axis=1)[varied] / scale[varied])
    return np.concatenate(drawn)


def _weighted_ranks(values: Array, weights: Array) -> Array:
    """Mid-ranks of values that occur as often as each row of `weights` says, shape of `weights`."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) > 0])
    tied = np.add.reduceat(weights[:, order], starts, axis=1)
    middles = np.cumsum(tied, axis=1) - tied / 2
    place = np.empty(len(values), dtype=np.intp)
    place[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(values)]))
    return middles[:, place]
