"""Does a score say how likely an answer is right? Calibration and the area under the ROC curve."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata

from wherelook.stats.clusters import Array, Clusters, Outcomes, Values, finite, influence_estimate, number_clusters
from wherelook.stats.intervals import mean_interval, wilson_interval
from wherelook.stats.result import Estimate


@dataclass(frozen=True)
class Bin:
    """Answers of about one score: their mean score, the share that is right with Wilson's interval, and how many."""

    score: float
    share: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Calibration:
    """How a score in [0, 1] goes with being right.

    Attributes:
        error: expected calibration error over the bins, in [0, 1]. It has no interval: it is never below zero and, by
            chance alone, above it, so that no resampling of it is centered on the truth.
        brier: mean squared difference of score and outcome (Brier 1950), in [0, 1].
        roc_area: None where all answers are right, or all wrong.
        bins: by rising score.
        n: answers.
    """

    error: float
    brier: Estimate
    roc_area: Estimate | None
    bins: tuple[Bin, ...]
    n: int


def calibration(
    scores: Values,
    correct: Outcomes,
    *,
    bins: int = 10,
    clusters: Clusters = None,
    level: float = 0.95,
) -> Calibration:
    """Calibration of a score against correctness, in bins of equal numbers of answers (Nguyen and O'Connor 2015).

    Answers of one score stay in one bin, so bins can be fewer and unequal.

    Raises:
        ValueError: not the same number, none, a score outside [0, 1], or an outcome that is neither yes nor no.
    """
    values, outcomes = _pairs(scores, correct)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores must lie in [0, 1]")
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    wanted = np.round(np.linspace(0, len(values), bins + 1)).astype(int)[1:-1]
    # A cut among equal scores moves down to where they start.
    cuts = np.unique(np.searchsorted(ranked, ranked[wanted[wanted < len(ranked)]], side="left"))
    groups = [group for group in np.split(order, cuts) if len(group)]
    found = tuple(_bin(values[group], outcomes[group], level) for group in groups)
    squares = (values - outcomes) ** 2
    brier = mean_interval(squares, clusters=clusters, level=level).within(0, 1)
    # With few answers t goes beyond what is possible.
    brier = replace(brier, name="Brier score", low=max(0.0, brier.low), high=min(1.0, brier.high))
    varied = 0 < outcomes.mean() < 1
    return Calibration(
        error=sum(one.n * abs(one.score - one.share) for one in found) / len(values),
        brier=brier,
        roc_area=roc_area(scores, correct, clusters=clusters, level=level) if varied else None,
        bins=found,
        n=len(values),
    )


def roc_area(scores: Values, correct: Outcomes, *, clusters: Clusters = None, level: float = 0.95) -> Estimate:
    """Area under the ROC curve: probability that a right answer scores above a wrong one, ties counting half.

    The interval comes from the placements of DeLong et al. (1988), added up within clusters (Obuchowski 1997).

    Raises:
        ValueError: not the same number, or not both right and wrong answers.
    """
    values, outcomes = _pairs(scores, correct)
    right = outcomes == 1
    if right.all() or not right.any():
        raise ValueError("all answers are right, or all wrong: no ROC curve")
    index, _ = number_clusters(clusters, len(values))
    names = None if clusters is None else np.concatenate([index[right], index[~right]])
    area, influence = _placements(values[right], values[~right])
    name = "area under the ROC curve"
    if not 1e-12 < area < 1 - 1e-12:  # no overlap: no spread to estimate from
        count = int(min(right.sum(), (~right).sum()))
        low, _ = wilson_interval(count, count, level=level)
        interval = (low, 1.0) if area > 0.5 else (0.0, 1 - low)
        return Estimate.of(name, area, interval, "Wilson, no overlap", level=level)
    if not np.abs(influence).max() > 1e-12:
        return Estimate.of(name, area, (0.0, 1.0), "values that are all tied bound nothing", level=level)
    # On the scale atanh(2 area - 1), which is Cliff's delta.
    found = influence_estimate(name, 2 * area - 1, 2 * influence, names, level=level, fisher=True, of_ranks=True)
    return replace(found, value=area, low=(1 + found.low) / 2, high=(1 + found.high) / 2)


def _placements(above: Array, below: Array) -> tuple[float, Array]:
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


def _pairs(scores: Values, correct: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    if len(scores) != len(correct):
        raise ValueError(f"{len(scores)} scores and {len(correct)} outcomes are not pairs")
    values, outcomes = finite(scores), finite(correct)
    if not np.isin(outcomes, (0, 1)).all():
        raise ValueError("outcomes must be yes or no (1 or 0)")
    return values, outcomes


def _bin(scores: np.ndarray, outcomes: np.ndarray, level: float) -> Bin:
    right, total = int(outcomes.sum()), len(outcomes)
    return Bin(math.fsum(scores) / total, right / total, *wilson_interval(right, total, level=level), total)
