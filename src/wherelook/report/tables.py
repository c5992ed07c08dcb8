"""The tables of a comparison of runs. Their rows are the lines of `wherelook.analysis.results`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from wherelook.analysis.results import Comparison, Finding, Skipped
from wherelook.report.formatting import CORRECTIONS, SIGNIFICANT, plural, words
from wherelook.report.table import Column, Marked, Row, Table
from wherelook.stats import Estimate

REASONS = 100
"""Rows at most of what has no map; the table `skipped` has all."""

OWN_FIGURES = {
    "soft accuracy": "VQA's: an answer is worth a third for every person who gave it, at most one",
    "accuracy": "share of answers that are right; one that is neither yes nor no counts as wrong",
    "precision": "of the answers yes, the share where yes is right",
    "recall": "of the questions whose answer is yes, the share answered yes",
    "F1": "harmonic mean of precision and recall",
    "yes ratio": "share of answers yes",
    "neither yes nor no": "share of answers that say neither",
    "group accuracy": "share of groups with every answer right",
    "CircularEval": "share of questions answered right for every rotation of their options",
}
"""What the benchmarks' own figures mean."""

BENCHMARK = Column("benchmark", "Benchmark")
TASK = Column("task", "Task", meaning="kind of question", empty="all")
MODEL = Column("model", "Model")


COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "models": (
        Column("name", "Model"),
        Column("architecture", "Architecture"),
        Column("scale", "Scale", meaning="as models are compared by it"),
        Column("id", "Checkpoint"),
        Column("revision", "Revision"),
        Column("model_class", "Class"),
        Column("dtype", "Dtype", meaning="type of the weights"),
        Column("parameters", "Parameters", "count"),
        Column("runs"),
    ),
    "coverage": (
        BENCHMARK,
        MODEL,
        Column("samples", "Samples", "count", "that the run has rows for"),
        Column("common", "Common", "count", "of them, those that every model has rows for: all figures are over these"),
        Column("ok", "Map", "count", "with a map"),
        Column("not_visual", "Not visual", "count", "no word of the answer is visually grounded"),
        Column("weak_gap", "Weak gap", "count", "the words depend too little on the image"),
        Column("error", "Error", "count", "what failed"),
        Column("judged", "Judged", "count", "known to be right or wrong"),
        Column("evidence", "Evidence", "count", "with a map and known evidence"),
    ),
    "judges": (
        BENCHMARK,
        MODEL,
        Column("run"),
        Column("judge", "Judge", meaning="who gave the verdicts"),
        Column("answers", "Answers", "count"),
        Column("judged", "Judged", "count", "with a verdict; the others count as not judged"),
        Column("both", "By both", "count", "answers that the run's rule could judge too"),
        Column("agree", "Agree, %", "percent", "proportion of these on which both say the same"),
        Column("kappa", "Kappa", "number", "Cohen's, of these: agreement beyond chance"),
        Column("rule", "Rule", meaning="of the run, which the verdicts replace"),
        Column("file", "File"),
    ),
    "skipped": (BENCHMARK, MODEL, Column("sample", "Sample"), Column("status", "Status"), Column("reason", "Reason")),
    "reliance": (
        BENCHMARK,
        TASK,
        MODEL,
        Column("answers", "Answers", "count"),
        Column("resting", "Grounded answers, %", "percent", "with a word that is visually grounded"),
        Column("tokens"),
        Column("tokens_resting", "Grounded tokens, %", "percent", "of the tokens of words"),
        Column("judged"),
        Column("accuracy", "Accuracy, %", "percent", "of judged answers"),
        Column("blind_accuracy", "Without the image, %", "percent", "accuracy without the image"),
    ),
    "own": (
        BENCHMARK,
        TASK,
        MODEL,
        Column("figure", "Figure"),
        Column("items", "n", "count", "answers, or groups of them"),
        Column("value", "%", "percent"),
        Column("meaning", "What it is"),
    ),
    "focus": (
        BENCHMARK,
        MODEL,
        Column("maps", "Maps", "count"),
        Column("half", "Half, %", "percent", "smallest part of the image that holds half of the saliency"),
        Column("area", "Area, %", "percent", "part of the image that a flat map of the same entropy would take"),
        Column("center", "Center, %", "percent", "of the saliency in the middle quarter of the image; flat: 25"),
        Column("border", "Border, %", "percent",
               "of the saliency within an eighth of the sides from an edge; flat: 44"),
    ),
    "metrics": (
        BENCHMARK,
        Column("metric", "Metric"),
        Column("better", "Better"),
        MODEL,
        Column("maps", "Maps", "count"),
        Column("mean", "Mean", "number", digits=3),
    ),
    "human": (
        BENCHMARK,
        MODEL,
        Column("answers", "Answers", "count", "with a map and people's attention"),
        Column("correlation", "Agreement", "number", "rank correlation of map and people's attention"),
        Column("center", "Center", "number", "the same of a Gaussian in the middle of the image"),
        Column("ceiling", "People", "number", "the same of one person with the others: the noise ceiling"),
        Column("energy", "Energy, %", "percent", "of the map on the smallest region with half of people's attention"),
        Column("pointing", "Pointing, %", "percent", "of maps whose peak lies on this region"),
        Column("chance", "Chance, %", "percent", "of the image that this region takes"),
    ),
    "relations": (
        BENCHMARK,
        Column("relation", "What differs", meaning="between two models"),
        Column("within", "Within", meaning="what they share", empty="all"),
        Column("pairs", "Pairs", "count", "of models"),
        Column("items", "Samples", "count", "on which all models have a map"),
        Column("similarity", "Similarity", "number", "mean over samples of the mean over pairs"),
    ),
    "pairs": (
        BENCHMARK,
        Column("first", "Model"),
        Column("second", "and"),
        Column("relation", "What differs"),
        Column("items", "Samples", "count"),
        Column("similarity", "Similarity", "number"),
        Column("chance", "By chance", "number",
               "of maps of different samples: what a habit, such as looking at the center, makes alike"),
    ),
    "merges": (
        BENCHMARK,
        Column("members", "Models", "names"),
        Column("height", "Distance", "number", "at which the two branches join"),
        Column("support", "Support, %", "percent", "of the resamples of the samples with the same branch"),
    ),
    "evidence": (
        BENCHMARK,
        TASK,
        MODEL,
        Column("answers", "Answers", "count", "with a map, known evidence and a verdict"),
        Column("both_right", "Both right", "count", "place and answer"),
        Column("place_only", "Place only", "count", "right place, wrong answer"),
        Column("answer_only", "Answer only", "count", "right answer, focus elsewhere"),
        Column("neither", "Neither", "count"),
        Column("right_place", "Right place, %", "percent", "answers whose most salient place lies on the evidence"),
        Column("chance", "Chance, %", "percent", "what a random place would reach"),
        Column("odds_ratio", "Odds ratio", "ratio", "odds of a right answer at the right place by those elsewhere"),
    ),
    "cells": (
        BENCHMARK,
        TASK,
        MODEL,
        Column("right_place"),
        Column("right_answer"),
        Column("cell", "Place and answer"),
        Column("count", "Answers", "count"),
        Column("share", "%", "percent"),
        Column("samples", "Samples", "list"),
    ),
    "calibrations": (
        BENCHMARK,
        TASK,
        MODEL,
        Column("n", "Answers", "count", "known to be right or wrong"),
        Column("error", "Calibration error", "number",
               "expected, over bins of reliance: 0 where reliance is the probability of being right"),
        Column("brier", "Brier score", "number", "mean squared difference of reliance and outcome: 0 is best"),
        Column("roc_area", "ROC area", "number",
               "probability that a right answer has the higher reliance than a wrong one: 0.5 is chance"),
    ),
    "bins": (
        BENCHMARK,
        TASK,
        MODEL,
        Column("score", "Reliance", "number", "mean of the bin"),
        Column("share", "Accuracy, %", "percent"),
        Column("low"),
        Column("high"),
        Column("n", "Answers", "count"),
    ),
    "findings": (
        Column("question"),
        BENCHMARK,
        Column("subject", "About", meaning="the model, or the factor"),
        Column("asked", "Asked"),
        Column("effect_name", "Effect"),
        Column("effect", "Size", "number"),
        Column("p", "p", "p", "corrected for all tests; ≤: as small as the random draws allow"),
        Column("p_uncorrected", "Uncorrected p", "p"),
        Column("n", "n", "count", "items"),
        Column("clusters", "Clusters", "count", "of items that may depend on each other"),
        Column("test", "Test"),
        Column("statistic"),
        Column("standardized_name"),
        Column("standardized"),
        Column("assumptions"),
    ),
}  # fmt: skip
"""Of every table, by its name. Keys are fields of the lines."""

CELLS = ("right place, right answer", "right place, wrong answer", "elsewhere, right answer", "elsewhere, wrong answer")
"""The four cells in the order of `EvidenceLine.cells`."""


def make_tables(comparison: Comparison) -> dict[str, Table]:
    """All tables by name. Rows over all tasks, or all pairs, come first."""
    rows: dict[str, Iterable[Row]] = {
        "merges": (
            {"benchmark": tree.benchmark} | _row(merge) for tree in comparison.trees for merge in tree.hierarchy.merges
        ),
        "own": (_row(line) | {"meaning": OWN_FIGURES.get(line.figure)} for line in comparison.own),
        "evidence": (
            _row(line)
            | dict(zip(("both_right", "place_only", "answer_only", "neither"), _counts(line.cells), strict=True))
            for line in comparison.evidence
        ),
        "cells": (
            _owner(line) | _row(cell) | {"cell": name}
            for line in comparison.evidence
            for name, cell in zip(CELLS, line.cells, strict=True)
        ),
        "calibrations": (_owner(line) | _row(line.calibration) for line in comparison.calibrations),
        "bins": (_owner(line) | _row(one) for line in comparison.calibrations for one in line.calibration.bins),
        "findings": map(_finding, comparison.findings),
    }
    found = {}
    captions = _captions(comparison)
    for name, columns in COLUMNS.items():
        lines = list(rows[name] if name in rows else map(_row, getattr(comparison, name)))
        whole = next((column.key for column in columns if column.key in ("task", "within")), None)
        if whole is not None:
            lines.sort(key=lambda row, key=whole: row[key] is not None)  # type: ignore[misc]
        uncertain = any(isinstance(value, Estimate) for row in lines for value in row.values())
        beside = f" Beside each figure its {100 * comparison.level:g} % interval." if uncertain else ""
        found[name] = Table(name, captions[name] + beside, columns, tuple(lines))
    return found


def reasons(comparison: Comparison) -> Table:
    """Samples without a map by what their reasons begin with, most frequent first."""
    groups: dict[tuple[str, str, str, str], list[Skipped]] = {}
    for line in comparison.skipped:
        head = line.reason.partition(": ")[0]
        groups.setdefault((line.benchmark, line.model, words(line.status), head), []).append(line)
    ranked = sorted(groups.items(), key=lambda group: -len(group[1]))
    rows = tuple(
        {"benchmark": benchmark, "model": model, "status": status, "samples": len(own), "reason": _reason(head, own),
         "which": [line.sample for line in own]}
        for (benchmark, model, status, head), own in ranked[:REASONS]
    )  # fmt: skip
    left = f" {len(ranked) - REASONS} rarer reasons are left out here." if len(ranked) > REASONS else ""
    return Table("reasons", f"Samples without a map, by status and reason.{left}", (
        BENCHMARK, MODEL, Column("status", "Status"), Column("samples", "Samples", "count"),
        Column("reason", "Reason"), Column("which", "Which", "list"),
    ), rows)  # fmt: skip


def _reason(head: str, lines: list[Skipped]) -> str:
    """The reason that all share; or what it begins with, and an example."""
    reason = lines[0].reason
    same = all(line.reason == reason for line in lines)
    return reason if same else f"{head}, for example{reason.removeprefix(head)}"


def _row(line: Any) -> dict[str, Any]:
    """The values of a line by its fields."""
    return {field.name: getattr(line, field.name) for field in fields(line)}


def _owner(line: Any) -> dict[str, Any]:
    return {"benchmark": line.benchmark, "task": line.task, "model": line.model}


def _counts(line_cells: Iterable[Any]) -> list[int]:
    return [cell.count for cell in line_cells]


def _finding(finding: Finding) -> dict[str, Any]:
    test, size = finding.test, finding.test.standardized
    floor = "≤" if test.at_floor and test.p >= 0.001 else ""
    return _row(finding) | {
        "test": test.name, "statistic": test.statistic, "n": test.n, "clusters": test.clusters,
        "p": Marked(finding.p, finding.p < SIGNIFICANT, "≤" if test.at_floor and finding.p >= 0.001 else ""),
        "p_uncorrected": Marked(test.p, sign=floor), "effect_name": test.effect.name, "effect": test.effect,
        "standardized_name": None if size is None else size.name, "standardized": size,
        "assumptions": test.assumptions,
    }  # fmt: skip


def _captions(comparison: Comparison) -> dict[str, str]:
    measure = words(comparison.measure)
    return {
        "models": "Models, and what they are compared by.",
        "coverage": "Coverage: what became of every sample.",
        "judges": "Answers that are judged by a file of verdicts instead of the run's rule.",
        "skipped": "Samples without a map.",
        "reliance": "Answers and tokens that depend on the image, and accuracy with and without it.",
        "own": "The benchmarks' own figures.",
        "focus": "Where the maps of each model lie, means over its maps.",
        "metrics": "Metrics of the maps (docs/metrics.md).",
        "human": "Agreement with where people looked.",
        "relations": f"Similarity of focus ({measure}) by what differs between two models.",
        "pairs": f"Similarity of focus ({measure}) of every two models.",
        "merges": "Which models look alike: branches of the tree of models, from the first join to the last.",
        "evidence": "Right place against right answer.",
        "cells": "Answers by place and correctness.",
        "calibrations": "Reliance on the image as a forecast of being right.",
        "bins": "Accuracy by bins of reliance.",
        "findings": (
            f"Tests, two-sided; p after {CORRECTIONS[comparison.correction]} over all "
            f"{plural(len(comparison.findings), 'test')}. Bold: p < {SIGNIFICANT:g}."
        ),
    }
