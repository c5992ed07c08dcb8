"""Uncertainty of a figure: intervals for shares and means, paired tests, correction for many of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm


def wilson_interval(successes: int, total: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927): honest for shares near 0 and 1, unlike the normal one.

    Raises:
        ValueError: unless 0 <= successes <= total and total > 0.
    """
    if not 0 <= successes <= total or total == 0:
        raise ValueError(f"{successes} of {total} is not a share")
    z = float(norm.ppf((1 + level) / 2))
    share = successes / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5
    # At the ends the interval touches 0 or 1 exactly; rounding must not push it across.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == total else min(1.0, centre + half)
    return low, high


def bootstrap_interval(
    values: Sequence[float], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron 1979), seeded.

    Raises:
        ValueError: no values.
    """
    if len(values) == 0:
        raise ValueError("no values")
    array = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(array), size=(resamples, len(array)))
    low, high = np.quantile(array[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_test(first: Sequence[float], second: Sequence[float], *, resamples: int = 9999, seed: int = 0) -> float:
    """Two-sided p of the paired permutation test that the mean difference is zero (Fisher 1935), seeded.

    The signs of the differences are flipped: all ways where these are no more than `resamples`, else so many at random.
    Assumes that without an effect a difference is as likely as its negative; nothing about distributions.

    Raises:
        ValueError: not the same number of values, or none.
    """
    if len(first) != len(second) or len(first) == 0:
        raise ValueError(f"{len(first)} and {len(second)} values are not pairs")
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    difference = difference[difference != 0]  # flipping the sign of nothing changes nothing
    count = len(difference)
    if 2**count <= resamples:
        signs, observed = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1), 0
    else:  # the observed signs are one of the ways too, and keep p above zero
        signs, observed = np.random.default_rng(seed).integers(0, 2, (resamples, count), dtype=np.int8) * 2 - 1, 1
    sums = np.abs(signs @ difference)
    extreme = np.count_nonzero(sums >= abs(difference.sum()) * (1 - 1e-12))
    return float((extreme + observed) / (len(sums) + observed))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979): p-values that keep the family-wise error, in the order given."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return [float(value) for value in corrected]
