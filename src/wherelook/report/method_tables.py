"""The tables of an evaluation: a row for every run, and its metrics by what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wherelook.analysis.method_table import FAILS, Figure, RunSummary, metric_of, ranked, too_few
from wherelook.metrics import METRICS, label_of
from wherelook.report.formatting import parts, slug, words
from wherelook.report.table import Column, Marked, Table, wrap
from wherelook.stats import Estimate

HOW_TO_READ = (
    "Each figure is the mean over the same n answers for all runs: those on which every run made a map (runs that "
    "never made one aside). Beside it: its 95 % interval, Wilson's for a share of yes and no, else a percentile "
    "bootstrap.",
    "Bold (* in text) is the best mean. ≈ is not distinguishable from it: p ≥ 0.05 in a paired permutation test (signs "
    "flipped) against the best, Holm-corrected over all comparisons of the column. Every other run is worse than the "
    "best, but where a note says that so few answers cannot tell.",
    "Passes and seconds are means per map over the same answers, without the deletion and insertion that measure it. "
    "Compactness and stability describe a map; neither makes it right.",
    "Sanity: a run fails when its maps stay the same (mean rank correlation above 0.3) after all weights of the model "
    "were put in random order: they do not explain the model, whatever the other figures say.",
)
RUN = Column("run", "Run")
NAMES = {group: group.lower().replace(" ", "-") for group in dict.fromkeys(one.group for one in METRICS.ours.values())}
COST = "cost"
"""Names of the tables. That of other packages' metrics is metrics-GROUP."""


def method_tables(summaries: Sequence[RunSummary]) -> tuple[Table, ...]:
    """Tables of runs, best first: one for every group of metrics, and one of cost and coverage.

    The metrics of a run stand with its interval, n and p, which are columns of their own in CSV and Parquet.
    """
    lines = ranked(summaries)
    rows = tuple(_row(line) for line in lines)
    measures = list(lines[0].figures) if lines else []
    steps = next((line.replay_steps for line in lines if line.replay_steps is not None), None)
    tables = []
    for group in dict.fromkeys(metric_of(name).group for name in measures):
        names = [name for name in measures if metric_of(name).group == group]
        columns = [column for name in names for column in _columns(name, lines)]
        told = (
            f", in {steps} steps" if steps is not None and any(metric_of(name).both_baselines for name in names) else ""
        )
        tables.append(Table(NAMES.get(group) or f"metrics-{slug(group)}", f"{group}{told}.", (RUN, *columns), rows))
    return (*tables, Table(COST, "Cost of a map, and what became of every answer.", (RUN, *_costs(lines)), rows))


def notes(summaries: Sequence[RunSummary]) -> list[str]:
    """How to read the tables, in sentences."""
    return [*filter(None, [too_few(summaries)]), *HOW_TO_READ]


def to_text(summaries: Sequence[RunSummary], width: int | None = None) -> str:
    """The tables with their captions, and how to read them.

    Args:
        summaries: the runs.
        width: characters of a line; None for as many as it takes.
    """
    tables = [f"{table.caption}\n{table.to_text(width)}" for table in method_tables(summaries)]
    told = [wrap(line, width, "- ", "  ") for line in notes(summaries)]
    return "\n\n".join([*tables, "\n".join(told)]) + "\n"


def to_markdown(summaries: Sequence[RunSummary]) -> str:
    """The same in Markdown."""
    tables = [table.to_markdown() for table in method_tables(summaries)]
    return "\n".join([*tables, "\n".join(f"- {line}" for line in notes(summaries))]) + "\n"


def _columns(name: str, lines: Sequence[RunSummary]) -> list[Column]:
    metric = metric_of(name)
    n = next(figure.n for line in lines if (figure := line.figures[name]) is not None)
    arrow = {"higher": " ↑", "lower": " ↓", "neither": ""}[metric.better]
    title = f"{label_of(name, metric)}{arrow} (n {n:,})"
    meaning = f"{metric.summary}; {metric.better} is better; {metric.values}"
    return [Column(name, title, "number", meaning, digits=3), Column(f"{name}_n"), Column(f"{name}_p")]


def _costs(lines: Sequence[RunSummary]) -> list[Column]:
    statuses = list(lines[0].without_map) if lines else []
    return [
        Column("forward", "Forward passes", "passes", "per map"),
        Column("backward", "Backward passes", "passes", "per map"),
        Column("seconds", "Seconds", "seconds", "per map"),
        Column("peak_bytes", "Peak memory", "bytes", "the most that any map needed, deletion and insertion included"),
        Column("answers", "Answers", "count", "that it was tried on"),
        Column("maps", "Maps", "count"),
        Column("share_without_map", "Without a map, %", "percent", "of the answers"),
        *(Column(status, words(status).capitalize(), "count") for status in statuses),
        Column("sanity", "Sanity", meaning="verdict of wherelook sanity: do maps change when the model's weights do?"),
    ]


def _row(line: RunSummary) -> dict[str, Any]:
    """All values of a run."""
    row: dict[str, Any] = {name: value for name, value in vars(line).items() if name not in ("figures", "without_map")}
    row |= {"run": Marked(line.run, note="fails sanity" if line.sanity == FAILS else "")}
    row |= {"share_without_map": line.share_without_map, **line.without_map}
    for name, figure in line.figures.items():
        if figure is not None:
            row |= {name: _marked(name, figure), f"{name}_n": figure.n, f"{name}_p": figure.p}
    return row


def _marked(name: str, figure: Figure) -> Marked:
    method = "Wilson's interval" if metric_of(name).yes_or_no else "percentile bootstrap"
    value = Estimate(name=name, value=figure.mean, low=figure.low, high=figure.high, method=method)
    floor = figure.p is not None and figure.p <= figure.least_p * (1 + 1e-9)
    against = "" if figure.p is None else f", p {'≤' if floor else '='} {figure.p:.2g} against the best"
    detail = f"95 % interval {parts(value, digits=3)[1]}{against}"
    return Marked(value, figure.best, "≈" if figure.tied else "", detail)
