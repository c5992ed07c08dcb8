"""Where each model's maps lie, and whether people looked there: figures of a model alone, over its own maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from wherelook.analysis.align_runs import Benchmark
from wherelook.analysis.findings import Asked, Outcome, Precision
from wherelook.analysis.questions import LEAST_ITEMS, Rows, share_of
from wherelook.analysis.results import FocusLine, HumanLine, MetricLine, StudyModel
from wherelook.metrics import Metric, label_of
from wherelook.stats import Estimate, mean_interval, paired_test


def focus_lines(benchmark: Benchmark, models: Sequence[StudyModel], level: float) -> tuple[FocusLine, ...]:
    """A line for every model with maps: how much of the image they take, and whether they keep to the center."""
    lines = []
    for model in models:
        rows = Rows(benchmark.rows[model.name], benchmark.clusters).those("compactness", "center_mass", status="ok")
        if rows.rows:
            half, area, center, border = (
                _mean(rows.those(column), column, level)
                for column in ("compactness", "effective_area", "center_mass", "border_mass")
            )
            lines.append(
                FocusLine(
                    benchmark=benchmark.name,
                    model=model.name,
                    maps=len(rows.rows),
                    half=half,
                    area=area,
                    center=center,
                    border=border,
                )
            )
    return tuple(lines)


def metric_lines(
    benchmark: Benchmark, models: Sequence[StudyModel], metrics: Mapping[str, Metric], level: float
) -> tuple[MetricLine, ...]:
    """A line for every metric that tables of methods show and every model whose maps have it."""
    lines = []
    shown = {name: metric for name, metric in metrics.items() if metric.group and metric.level is not None}
    for name, metric in shown.items():
        for model in (one for one in models if all(name in row for row in benchmark.rows[one.name])):
            rows = Rows(benchmark.rows[model.name], benchmark.clusters).those(name, status="ok")
            if rows.rows:
                lines.append(
                    MetricLine(
                        benchmark=benchmark.name,
                        metric=label_of(name, metric),
                        better="" if metric.better == "neither" else metric.better,
                        model=model.name,
                        maps=len(rows.rows),
                        mean=share_of(rows, name, level)
                        if metric.yes_or_no
                        else _mean(rows, name, level, *metric.bounds),
                    )
                )
    return tuple(lines)


def human_lines(
    benchmark: Benchmark, models: Sequence[StudyModel], precision: Precision
) -> tuple[tuple[HumanLine, ...], Outcome]:
    """Agreement with where people looked, beside that of a map of the center and of people with each other.

    Tested: does the focus of a model agree with people's more than the center of the image does?
    """
    lines, asked = [], []
    for model in models:
        rows = Rows(benchmark.rows[model.name], benchmark.clusters).those("human_correlation", status="ok")
        if not rows.rows:
            continue
        known, ceiling = rows.those("human_center"), rows.those("human_ceiling")
        lines.append(
            HumanLine(
                benchmark=benchmark.name,
                model=model.name,
                answers=len(rows.rows),
                correlation=_mean(rows, "human_correlation", precision.level, least=-1),
                center=_mean(known, "human_center", precision.level, least=-1),
                ceiling=_mean(ceiling, "human_ceiling", precision.level, least=-1),
                energy=_mean(rows.those("human_energy"), "human_energy", precision.level),
                pointing=share_of(rows.those("human_pointing"), "human_pointing", precision.level),
                chance=_mean(rows.those("human_share"), "human_share", precision.level),
            )
        )
        if len(known.rows) >= LEAST_ITEMS:
            test = paired_test(
                known.column("human_correlation"),
                known.column("human_center"),
                clusters=known.clusters,
                **asdict(precision),
            )
            question = "Does its focus agree with people's more than a map of the center does?"
            asked.append(
                Asked(question="focus", benchmark=benchmark.name, subject=model.name, asked=question, test=test)
            )
    return tuple(lines), Outcome(tuple(asked), ())


def _mean(rows: Rows, column: str, level: float, least: float = 0, most: float = 1) -> Estimate | None:
    """Of figures from `least` to `most`."""
    if not rows.rows:
        return None
    return mean_interval(rows.column(column), clusters=rows.clusters, level=level).within(least, most)
