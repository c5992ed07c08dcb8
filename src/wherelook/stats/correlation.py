"""Does one figure rise with another? Spearman's rank correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from scipy.stats import t as student

from wherelook.stats.clusters import CHUNK, Array, Clusters, bootstrap_weights, finite, number_clusters
from wherelook.stats.result import Estimate, Test


def spearman_test(
    first: Sequence[float],
    second: Sequence[float],
    *,
    clusters: Clusters = None,
    resamples: int = 1999,
    seed: int = 0,
    level: float = 0.95,
) -> Test:
    """Spearman's rank correlation of two figures of the same items (Spearman 1904), seeded.

    Without clusters a permutation test: `second` is shuffled. With them items are not exchangeable, and the test is
    Student's of atanh(rho) by its bootstrap standard error, G - 1 degrees of freedom. The interval is made the same way
    on the scale atanh(rho), from items or whole clusters drawn with replacement.

    Raises:
        ValueError: not the same number, fewer than 4 values or 3 clusters, not finite, or all the same.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values are not pairs")
    x, y = finite(first, least=4), finite(second, least=4)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ValueError("all values are the same: no rank correlation")
    index, count = number_clusters(clusters, len(x))
    if count < 3:
        raise ValueError(f"{count} clusters; expected 3 or more")
    rho = _correlation(rankdata(x), rankdata(y))
    z, error = _atanh(rho), _bootstrap_error(x, y, index, count, resamples, seed)
    half = float(student.ppf((1 + level) / 2, count - 1)) * error
    if clusters is None:
        p = _shuffled(rankdata(x), rankdata(y), abs(rho), resamples, seed)
    else:
        p = float(2 * student.sf(abs(z) / error, count - 1)) if error > 0 else 1.0
    return Test(
        name="Spearman permutation test" if clusters is None else "Spearman bootstrap test with clusters",
        statistic=rho,
        p=p,
        n=len(x),
        effect=Estimate(
            "Spearman's rho", rho, math.tanh(z - half), math.tanh(z + half), "t, bootstrap of atanh(rho)", level
        ),
        assumptions=f"Assumes that {'items' if clusters is None else 'clusters'} are independent; says nothing about "
        "relations that rise and fall.",
        clusters=None if clusters is None else count,
    )


def _correlation(x: Array, y: Array) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def _atanh(rho: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Fisher's scale; resamples without any disorder stay finite."""
    return np.arctanh(np.clip(rho, -0.9999, 0.9999))


def _shuffled(x: Array, y: Array, observed: float, resamples: int, seed: int) -> float:
    rng, extreme = np.random.default_rng(seed), 1
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt((x @ x) * (y @ y))
    portion = max(1, CHUNK // len(x))
    for done in range(0, resamples, portion):
        shuffled = rng.permuted(np.tile(y, (min(portion, resamples - done), 1)), axis=1)
        extreme += np.count_nonzero(np.abs(shuffled @ x) / scale >= observed - 1e-12)
    return extreme / (resamples + 1)


def _bootstrap_error(x: Array, y: Array, index: NDArray[np.intp], count: int, resamples: int, seed: int) -> float:
    """Standard deviation of atanh(rho) over resamples."""
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
    return float(_atanh(np.concatenate(drawn)).std(ddof=1))


def _weighted_ranks(values: Array, weights: Array) -> Array:
    """Mid-ranks of values that occur as often as each row of `weights` says, shape of `weights`."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) > 0])
    tied = np.add.reduceat(weights[:, order], starts, axis=1)
    middles = np.cumsum(tied, axis=1) - tied / 2
    place = np.empty(len(values), dtype=np.intp)
    place[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(values)]))
    return middles[:, place]
