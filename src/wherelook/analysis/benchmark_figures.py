"""The figures that the authors of a benchmark report: soft accuracy, yes and no, groups that must be right together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wherelook.analysis.align_runs import Benchmark
from wherelook.analysis.questions import Rows, tasks
from wherelook.analysis.results import OwnFigure, StudyModel
from wherelook.data.circular import is_rotation
from wherelook.evaluation.judges import group_verdicts
from wherelook.evaluation.rows import Row
from wherelook.stats import Estimate, mean_interval, share_interval
from wherelook.stats.clusters import influence_estimate

YES_NO = ("yes", "no")


def own_figures(benchmark: Benchmark, models: Sequence[StudyModel], level: float) -> tuple[OwnFigure, ...]:
    """By model: those that the rows allow.

    soft accuracy: mean of VQA's score, where ten people answered. accuracy, precision, recall, F1 and yes ratio, by
    task too, where every reference is yes or no (POPE): a positive is a yes; an answer that is neither counts as wrong
    and as no yes. group accuracy: share of groups with every answer right (MMVP's pairs, MME's accuracy+); where the
    group is one question with its options rotated it is CircularEval (MMBench).
    """
    found: list[OwnFigure] = []
    for model in models:
        rows = Rows(benchmark.rows[model.name], benchmark.clusters)
        soft = rows.those("soft_accuracy")
        if soft.rows:
            value = _score_mean(soft.column("soft_accuracy"), soft.clusters, level)
            found.append(
                OwnFigure(
                    benchmark=benchmark.name,
                    task=None,
                    model=model.name,
                    figure="soft accuracy",
                    items=len(soft.rows),
                    value=value,
                )
            )
        if _is_yes_no(rows.rows):
            for task in (None, *tasks(rows)):
                found += _yes_no_figures(benchmark.name, task, model.name, rows.those(kind=task), level)
        found += _group_figures(benchmark.name, model.name, rows.rows, level)
    return tuple(found)


def _is_yes_no(rows: Sequence[Row]) -> bool:
    """Whether every known reference is yes or no; a row that could not be read, or a description, has none."""
    references = [row["reference"].strip(" .").casefold() for row in rows if row["reference"] is not None]
    return bool(references) and all(reference in YES_NO for reference in references)


def _yes_no_figures(benchmark: str, task: str | None, model: str, rows: Rows, level: float) -> list[OwnFigure]:
    """POPE's figures (Li et al. 2023, arXiv 2305.10355)."""
    answered = rows.those("answer", "reference")
    if not answered.rows:
        return []
    expected = np.array([(row["reference"] or "").strip(" .").casefold() == "yes" for row in answered.rows])
    right = np.array([bool(row["correct"]) for row in answered.rows])
    unread = np.array([row["correct"] is None for row in answered.rows])
    said = np.where(unread, False, right == expected)  # a wrong answer is the other one
    clusters = answered.clusters
    everyone = np.ones_like(said)
    shares = {
        "accuracy": (right, everyone),
        "precision": (expected, said),
        "recall": (said, expected),
        "yes ratio": (said, everyone),
    }
    figures = []
    for name, (outcomes, among) in shares.items():
        places = np.flatnonzero(among)
        if not len(places):
            continue
        own = None if clusters is None else [clusters[place] for place in places]
        value = share_interval(outcomes[places].astype(float), clusters=own, level=level)
        figures.append(
            OwnFigure(benchmark=benchmark, task=task, model=model, figure=name, items=len(places), value=value)
        )
    if (expected & said).any():
        figures.insert(
            3,
            OwnFigure(
                benchmark=benchmark,
                task=task,
                model=model,
                figure="F1",
                items=len(right),
                value=_f1(expected, said, clusters, level),
            ),
        )
    if unread.any():
        value = share_interval(unread.astype(float), clusters=clusters, level=level)
        figures.append(
            OwnFigure(
                benchmark=benchmark, task=task, model=model, figure="neither yes nor no", items=len(right), value=value
            )
        )
    return figures


def _f1(expected: np.ndarray, said: np.ndarray, clusters: Sequence[int] | None, level: float) -> Estimate:
    """F1 = 2 TP / (2 TP + FP + FN), its interval from the influence of each answer."""
    hits, misses = (expected & said).astype(float), (expected != said).astype(float)
    hit, miss = float(hits.mean()), float(misses.mean())
    whole = 2 * hit + miss
    influence = 2 * (hits * miss - hit * misses) / whole**2
    return influence_estimate("F1", 2 * hit / whole, influence, clusters, level=level).within(0, 1)


def _group_figures(benchmark: str, model: str, rows: Sequence[Row], level: float) -> list[OwnFigure]:
    # An answer that the rule cannot read is not right, as in the figures of yes and no.
    grouped = [
        row | {"correct": False} if row["correct"] is None and row["answer"] is not None and row["reference"] else row
        for row in rows
        if row["group"] is not None
    ]
    circular = bool(grouped) and all(is_rotation(row["sample"]) for row in grouped)
    sizes = {row["group"]: len(row["choices"] or ()) for row in grouped} if circular else None
    verdicts = [verdict for verdict in group_verdicts(grouped, sizes=sizes).values() if verdict is not None]
    if not verdicts:
        return []
    name = "CircularEval" if circular else "group accuracy"
    return [
        OwnFigure(
            benchmark=benchmark,
            task=None,
            model=model,
            figure=name,
            items=len(verdicts),
            value=share_interval(verdicts, level=level),
        )
    ]


def _score_mean(values: Sequence[float], clusters: Sequence[int] | None, level: float) -> Estimate:
    """A mean of scores in [0, 1]; where all are 0 or 1 it is a share, whose interval is never without width."""
    if set(values) <= {0.0, 1.0}:
        return share_interval(values, clusters=clusters, level=level)
    return mean_interval(values, clusters=clusters, level=level).within(0, 1)
