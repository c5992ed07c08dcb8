"""Puts the three questions to a set of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from wherelook.analysis.align_runs import Benchmark, Label, put_together
from wherelook.analysis.benchmark_figures import own_figures
from wherelook.analysis.findings import CORRECTIONS, Outcome, Precision, correct, enough_resamples
from wherelook.analysis.focus_figures import focus_lines, human_lines, metric_lines
from wherelook.analysis.focus_similarity import SIMILARITIES, compare_focus
from wherelook.analysis.questions import compare_figures, evidence_matters, rely_on_image
from wherelook.analysis.results import Comparison, Coverage, JudgeLine, Skipped
from wherelook.errors import InputError, unknown_name
from wherelook.evaluation.rows import Row
from wherelook.evaluation.verdicts import agreement
from wherelook.score import Status
from wherelook.stats import share_interval

DEFAULT_MEASURE = "rank-correlation"


def compare_runs(
    runs: Sequence[Path],
    *,
    labels: Mapping[str, Label] | None = None,
    method: str | None = None,
    verdicts: Mapping[str, Path] | None = None,
    measure: str = DEFAULT_MEASURE,
    correction: str = "holm",
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """The three questions over runs of one or several models and datasets.

    Runs of one model over several datasets are one model. Only samples that all models of a dataset have rows for
    are compared.

    Args:
        runs: folders of `wherelook run`.
        labels: by run as named in `runs`: what its model is compared by.
        method: method:preset whose rows are compared; None: the first that all runs have.
        verdicts: by run as named in `runs`: a file that judges its answers instead of its rule, see
            `wherelook.evaluation.verdicts`.
        measure: of similarity between maps, one of `wherelook.analysis.focus_similarity.SIMILARITIES`.
        correction: for all tests together, one of `wherelook.analysis.findings.CORRECTIONS`.
        level: of the intervals.
        seed: of permutations and resamples.
        progress: called after each benchmark.

    Raises:
        InputError: see `wherelook.analysis.align_runs.put_together`; an unknown name.
        WherelookError: a file of records or of verdicts cannot be read.
    """
    if measure not in SIMILARITIES:
        raise unknown_name("measure of similarity", measure, tuple(SIMILARITIES))
    if correction not in CORRECTIONS:
        raise unknown_name("correction", correction, tuple(CORRECTIONS))
    if not runs:
        raise InputError("nothing to compare: expected at least one folder of `wherelook run`")
    together = put_together(runs, labels or {}, method, verdicts)
    resamples = enough_resamples([len(benchmark.rows) for benchmark in together.benchmarks])
    precision = Precision(level, seed, resamples)
    names = ("own", "reliance", "focus", "metrics", "human", "relations", "pairs", "trees", "evidence", "calibrations")
    tables: dict[str, list[Any]] = {name: [] for name in names}
    outcomes: list[Outcome] = []
    for number, benchmark in enumerate(together.benchmarks, start=1):
        models = [model for model in together.models if model.name in benchmark.rows]
        reliance, relying = rely_on_image(benchmark, models, precision)
        figures = compare_figures(benchmark, models, precision)
        relations, pairs, tree, looking = compare_focus(
            benchmark, models, method=together.method, measure=measure, precision=precision
        )
        evidence, calibrations, mattering = evidence_matters(benchmark, models, precision)
        human, agreeing = human_lines(benchmark, models, precision)
        tables["own"] += own_figures(benchmark, models, level)
        tables["reliance"] += reliance
        tables["focus"] += focus_lines(benchmark, models, level)
        tables["metrics"] += metric_lines(benchmark, models, together.metrics, level)
        tables["human"] += human
        tables["relations"] += relations
        tables["pairs"] += pairs
        tables["trees"] += [] if tree is None else [tree]
        tables["evidence"] += evidence
        tables["calibrations"] += calibrations
        outcomes += [relying, figures, looking, agreeing, mattering]
        if progress is not None:
            progress("benchmarks", number, len(together.benchmarks))
    judges = [line for benchmark in together.benchmarks for line in _judges(benchmark, level)]
    return Comparison(
        method=together.method,
        measure=measure,
        correction=correction,
        level=level,
        seed=seed,
        models=together.models,
        coverage=tuple(line for benchmark in together.benchmarks for line in _coverage(benchmark)),
        judges=tuple(judges),
        skipped=tuple(line for benchmark in together.benchmarks for line in _skipped(benchmark)),
        **{name: tuple(lines) for name, lines in tables.items()},
        findings=correct([asked for outcome in outcomes for asked in outcome.asked], correction),
        notes=(
            *together.notes,
            *_judged_differently(together.benchmarks, judges),
            *(note for outcome in outcomes for note in outcome.notes),
        ),
    )


def _coverage(benchmark: Benchmark) -> list[Coverage]:
    statuses = (*get_args(Status), "error")
    lines = []
    for model, rows in benchmark.rows.items():
        counts = {status: sum(row["status"] == status for row in rows) for status in statuses}
        lines.append(
            Coverage(
                benchmark=benchmark.name,
                model=model,
                samples=benchmark.counts[model],
                common=len(rows),
                **counts,
                judged=sum(row["correct"] is not None for row in rows),
                evidence=sum(row["pointing"] is not None and row["status"] == "ok" for row in rows),
            )
        )
    return lines


def _judges(benchmark: Benchmark, level: float) -> list[JudgeLine]:
    """A line for every run whose answers a file judges, over its common samples."""
    lines = []
    for model, rows in benchmark.rows.items():
        judged = [row for row in rows if row.get("verdicts") is not None]
        for run, file in dict.fromkeys((row["folder"], row["verdicts"]) for row in judged):
            own = [row for row in judged if row["folder"] == run]
            both = agreement([row["rule_correct"] for row in own], [row["correct"] for row in own], level=level)
            same = [row["rule_correct"] == row["correct"] for row in own
                    if row["rule_correct"] is not None and row["correct"] is not None]  # fmt: skip
            lines.append(
                JudgeLine(
                    benchmark=benchmark.name,
                    model=model,
                    run=run,
                    file=file,
                    judge=_names(own, "judge"),
                    rule=_names(own, "rule"),
                    answers=sum(row["answer"] is not None for row in own),
                    judged=sum(row["correct"] is not None for row in own),
                    both=both.answers,
                    agree=share_interval(same, level=level) if same else None,
                    kappa=both.kappa,
                )
            )
    return lines


def _names(rows: Sequence[Row], column: str) -> str:
    return ", ".join(sorted({row[column] for row in rows if row[column]}))


def _judged_differently(benchmarks: Sequence[Benchmark], judges: Sequence[JudgeLine]) -> list[str]:
    """A sentence for every benchmark whose models are not all judged by the same."""
    notes = []
    for benchmark in benchmarks:
        names: dict[str, set[str]] = {model: set() for model in benchmark.rows}
        for line in judges:
            if line.benchmark == benchmark.name:
                names[line.model].add(line.judge)
        said = {model: ", ".join(sorted(own)) or "the rule of its run" for model, own in names.items()}
        if len(set(said.values())) > 1:
            who = "; ".join(f"{model} by {judge}" for model, judge in said.items())
            notes.append(f"{benchmark.name}: accuracies cannot be compared, for judges differ: {who}.")
    return notes


def _skipped(benchmark: Benchmark) -> list[Skipped]:
    return [
        Skipped(
            benchmark=benchmark.name,
            model=model,
            sample=row["sample"],
            status=row["status"],
            reason=row["error"] or row["reason"] or "",
        )
        for model, rows in benchmark.rows.items()
        for row in rows
        if row["status"] != "ok"
    ]
