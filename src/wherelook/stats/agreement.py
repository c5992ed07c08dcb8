"""Do two judges agree beyond chance?"""

from __future__ import annotations

import numpy as np

from wherelook.stats.clusters import Clusters, Names, influence_estimate, number_clusters
from wherelook.stats.intervals import wilson_interval
from wherelook.stats.result import Estimate


def cohens_kappa(first: Names, second: Names, *, clusters: Clusters = None, level: float = 0.95) -> Estimate:
    """Agreement of two judges beyond that by chance (Cohen 1960): 1 always, 0 as by chance.

    The interval is made on the scale atanh(kappa) from the influence of each item (Fleiss et al. 1969 to first order).
    Where the judges always agree it comes from Wilson's interval of the share of agreement.

    Args:
        first, second: verdicts of both on the same items, of any kind.
        clusters: items of one cluster may depend on each other.
        level: of the interval.

    Raises:
        ValueError: not the same number of verdicts, fewer than 2, or a judge that says the same of all: kappa is then 0
            whatever the other one says, and tells nothing.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"{len(first)} and {len(second)} verdicts; expected 2 or more of each on the same items")
    codes, kinds = number_clusters([*first, *second], 2 * len(first))
    a, b = codes[: len(first)], codes[len(first) :]
    if len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        raise ValueError("a judge says the same of all items: kappa tells nothing")
    total = len(a)
    p, q = np.bincount(a, minlength=kinds) / total, np.bincount(b, minlength=kinds) / total
    same = (a == b).astype(np.float64)
    observed, chance = float(same.mean()), float(p @ q)
    value = (observed - chance) / (1 - chance)
    if observed == 1:
        count = total if clusters is None else number_clusters(clusters, total)[1]
        low, _ = wilson_interval(count, count, level=level)
        interval = (low - chance) / (1 - chance), 1.0
        return Estimate.of("Cohen's kappa", 1.0, interval, "Wilson, full agreement", level=level)
    influence = (same - observed) / (1 - chance) - (q[a] + p[b] - 2 * chance) * (1 - observed) / (1 - chance) ** 2
    if value <= -1 + 1e-12 or not np.abs(influence - influence.mean()).max() > 1e-12:
        return Estimate.of(
            "Cohen's kappa", value, (-1.0, 1.0), "verdicts without any spread bound nothing", level=level
        )
    return influence_estimate("Cohen's kappa", value, influence, clusters, level=level, fisher=True)
