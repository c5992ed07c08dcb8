"""The size of a difference without a unit, with an interval that allows for clusters."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import t as student

from wherelook.stats.clusters import Clusters, Values, cluster_sums, finite, number_clusters
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
        return Estimate.of("Cohen's d_z", mean / deviation, (-math.inf, math.inf), method, level=level)
    without = (mean / deviation + moments[0] / left) / np.sqrt(spread / (left - 1))
    scaled = np.arcsinh(without / math.sqrt(2))
    error = math.sqrt((count - 1) / count * float(((scaled - scaled.mean()) ** 2).sum()))
    center, half = math.asinh(mean / deviation / math.sqrt(2)), float(student.ppf((1 + level) / 2, count - 1)) * error
    low, high = (math.sqrt(2) * math.sinh(end) if abs(end) < 700 else math.copysign(math.inf, end)
                 for end in (center - half, center + half))  # fmt: skip
    return Estimate.of("Cohen's d_z", mean / deviation, (low, high), method, level=level)
