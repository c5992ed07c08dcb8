"""Is something hit more often than chance would, where chance differs from item to item?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wherelook.stats.clusters import CHUNK, Clusters, Outcomes, Values, finite, number_clusters
from wherelook.stats.intervals import share_interval
from wherelook.stats.result import Test


def chance_test(
    outcomes: Outcomes,
    chances: Values,
    *,
    clusters: Clusters = None,
    resamples: int = 9999,
    seed: int = 0,
    level: float = 0.95,
) -> Test:
    """Monte Carlo test that the share of yes is the mean of the items' chances, seeded.

    Without an effect the number of yes follows the Poisson binomial distribution (Poisson 1837), which is drawn from.
    Flipping signs of outcome - chance would be wrong: few large differences and many small ones are not symmetric.
    Items of one cluster are drawn by one number: of all ways to depend on each other the one of the largest spread,
    so that the test is rather too careful. The effect is the share less the mean chance, with `share_interval`.

    Args:
        outcomes: yes or no for each item.
        chances: probability of yes by chance for each item, in [0, 1].
        clusters: items of one cluster, such as questions about one image, may depend on each other.
        resamples: draws.
        seed: of these.
        level: of the interval.

    Raises:
        ValueError: not the same number, none, an outcome that is neither yes nor no, or a chance outside [0, 1].
    """
    if len(outcomes) != len(chances):
        raise ValueError(f"{len(outcomes)} outcomes and {len(chances)} chances are not pairs")
    share, odds = share_interval(outcomes, clusters=clusters, level=level), finite(chances)
    if not ((odds >= 0) & (odds <= 1)).all():
        raise ValueError("chances must lie in [0, 1]")
    index, count = number_clusters(clusters, len(odds))
    expected, hits = float(odds.sum()), float(finite(outcomes).sum())
    rng, extreme = np.random.default_rng(seed), 1  # what was observed is one of the draws
    portion = max(1, CHUNK // len(odds))
    for start in range(0, resamples, portion):
        drawn = rng.random((min(portion, resamples - start), count))[:, index] < odds
        extreme += int(np.count_nonzero(np.abs(drawn.sum(axis=1) - expected) >= abs(hits - expected) - 1e-9))
    mean = expected / len(odds)
    return Test(
        name="Monte Carlo test against chance",
        statistic=hits,
        p=extreme / (resamples + 1),
        n=len(odds),
        effect=replace(
            share, name="share above chance", value=share.value - mean, low=share.low - mean, high=share.high - mean
        ),
        assumptions="Assumes that chance is known and that "
        + ("items are independent." if clusters is None else "clusters are independent."),
        clusters=None if clusters is None else count,
        least_p=1 / (resamples + 1),
    )
