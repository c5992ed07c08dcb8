"""The summary of `wherelook evaluate`: what every run reached, how sure that is, and what it cost.

Runs are compared on the answers on which all of them made a map: a method that gives up on the hard ones must not look
better for it. How often each gave up is part of the table.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wherelook.errors import InputError
from wherelook.evaluation.records import NAMES
from wherelook.evaluation.rows import WRONG, Row
from wherelook.metrics import METRICS, OTHER_GROUP, UNSEEN, Metric, measures
from wherelook.stats import bootstrap_interval, holm, paired_test, wilson_interval

NO_RUN = "-"
"""In place of a run's name where an answer is told of that no method was tried on."""

SORTED_BY = ("insertion", "pointing")
"""Of these measures the first that is there gives the order of the table."""

DISTINGUISHABLE_BELOW = 0.05
"""p-value, after correction, from which on a run counts as not distinguishable from the best."""

RESAMPLES = 9999
"""Random ways of flipping signs, at most."""

NOT_CHECKED, FAILS = "not checked", "fails"
"""Verdicts of a sanity check: that there was none, and the one that is marked wherever a run is named."""


@dataclass(frozen=True)
class Figure:
    """One measure of one run.

    Attributes:
        mean: over the `n` answers.
        low, high: its 95 % interval.
        n: answers on which all runs have the measure.
        best: whether no run has a better mean.
        p: of the paired comparison with the best run, Holm-corrected over all runs; None for that run itself.
        least_p: the smallest p that so few answers, or so many random flips, can give after the correction.
    """

    mean: float
    low: float
    high: float
    n: int
    best: bool
    p: float | None
    least_p: float = 0.0

    @property
    def tested(self) -> bool:
        """Whether any difference could be significant: with 4 answers the smallest p is 2 / 16."""
        return self.least_p < DISTINGUISHABLE_BELOW

    @property
    def tied(self) -> bool:
        """Not the best, and not distinguishable from it by a test that could tell."""
        return self.tested and not self.best and self.p is not None and self.p >= DISTINGUISHABLE_BELOW


@dataclass(frozen=True)
class RunSummary:
    """One line of the table.

    Attributes:
        run: method:preset.
        answers: that it was tried on.
        maps: that it made.
        without_map: answers without one, by status; the same statuses for all runs. "error": the method failed.
        common: answers on which all runs made a map.
        figures: by measure, in the order of `measured`; None where this run does not have it.
        forward, backward, seconds: means per map over the common answers; None where there are none.
        peak_bytes: the most that any of its maps needed, replay included.
        sanity: the verdict of sanity checks: "passes", "fails", "no map" (there was none to check) or
            "not checked".
        replay_steps: of the deletion and insertion curves, the same for all runs; None without any.
    """

    run: str
    answers: int
    maps: int
    without_map: Mapping[str, int]
    common: int
    figures: Mapping[str, Figure | None]
    forward: float | None
    backward: float | None
    seconds: float | None
    peak_bytes: float | None
    sanity: str = NOT_CHECKED
    replay_steps: int | None = None

    @property
    def errors(self) -> int:
        """Answers on which the method failed."""
        return self.without_map.get("error", 0)

    @property
    def share_without_map(self) -> float:
        """Of the answers it was tried on, in [0, 1]."""
        return 1 - self.maps / self.answers if self.answers else 0.0

    @property
    def passes(self) -> float | None:
        """Forward and backward together."""
        return None if self.forward is None or self.backward is None else self.forward + self.backward


def summarize(rows: Sequence[Row], runs: Sequence[str], verdicts: Mapping[str, str] | None = None) -> list[RunSummary]:
    """The table, in the order of `runs`.

    Args:
        rows: the plain rows of a run, in any order; of several for an answer and run the last one counts.
        runs: names of the runs to compare; rows of others are ignored.
        verdicts: of sanity checks, by run; a run without one was not checked.

    Raises:
        InputError: rows were replayed in different numbers of steps: their areas do not compare.
    """
    tried = {run: {row["sample"]: row for row in rows if row["run"] == run and not untried(row)} for run in runs}
    maps = {run: {key: row for key, row in found.items() if row["status"] == "ok"} for run, found in tried.items()}
    common = common_answers(maps)
    steps = _replay_steps([row for found in maps.values() for row in found.values()])
    statuses = sorted({row["status"] for found in tried.values() for row in found.values()} - {"ok"})
    names = measured([row for found in maps.values() for row in found.values()])
    columns = {name: compare(_values(maps, common, name), metric_of(name)) for name in names}
    return [
        RunSummary(
            run=run,
            answers=len(tried[run]),
            maps=len(maps[run]),
            without_map={status: sum(row["status"] == status for row in tried[run].values()) for status in statuses},
            common=len(common),
            figures={name: column.get(run) for name, column in columns.items() if column},
            forward=_mean(maps[run][key]["forward"] for key in common if maps[run]),
            backward=_mean(maps[run][key]["backward"] for key in common if maps[run]),
            seconds=_mean(maps[run][key]["seconds"] for key in common if maps[run]),
            peak_bytes=max((row["peak_bytes"] for row in maps[run].values()), default=None),
            sanity=(verdicts or {}).get(run, NOT_CHECKED),
            replay_steps=steps,
        )
        for run in runs
    ]


def untried(row: Row) -> bool:
    """Whether no method was tried on the answer: it is wrong where only right ones are explained, or there is none."""
    return row["status"] == WRONG or (row["status"] == "error" and row["answer"] is None)


def _replay_steps(rows: Sequence[Row]) -> int | None:
    """The number of steps of all these rows' replays; None where none was replayed, or rows do not tell."""
    found = {row["replay_steps"]: row["run"] for row in rows if row.get("replay_steps") is not None}
    if len(found) > 1:
        (one, run), (two, other) = list(found.items())[:2]
        raise InputError(
            f"{run} was replayed in {one} steps and {other} in {two}: their deletion and insertion do not compare; "
            "evaluate both with the same --replay-steps"
        )
    return next(iter(found), None)


def common_answers(maps: Mapping[str, Mapping[str, Row]]) -> list[str]:
    """The answers on which every run made a map. A run that never made one has no say: nothing would be left."""
    able = [found for found in maps.values() if found]
    return [answer for answer in able[0] if all(answer in found for found in able)] if able else []


def metric_of(measure: str) -> Metric:
    """What a measure means: one with the unseen baseline is the same metric. Of an unknown one its name is all."""
    name = measure if measure in METRICS else measure.removesuffix(UNSEEN)
    return METRICS[name] if name in METRICS else Metric(summary=name, label=name, group=OTHER_GROUP)


def measured(rows: Iterable[Row]) -> list[str]:
    """The measures that some row has and that a table of methods shows, in the order of the tables."""
    there = dict.fromkeys(name for row in rows for name, value in row.items() if _is_number(value))
    ours = [name for name in measures(METRICS.ours) if name in there and metric_of(name).group]
    others = [name for name in there if name not in NAMES and name not in METRICS.ours and metric_of(name).group]
    groups = list(dict.fromkeys(metric_of(name).group for name in (*ours, *others)))
    return sorted((*ours, *others), key=lambda name: groups.index(metric_of(name).group))


def compare(values: Mapping[str, Sequence[float]], metric: Metric) -> dict[str, Figure]:
    """A column of the table.

    Args:
        values: of each run, for the same answers in the same order.
        metric: tells the better direction (without one no run is the best), and whether it is a yes or no.
    """
    if not values:
        return {}
    sign = 1 if metric.better == "higher" else -1
    means = {run: math.fsum(column) / len(column) for run, column in values.items()}
    best = max(means, key=lambda run: sign * means[run])
    others = [run for run in values if run != best] if metric.better != "neither" else []
    least_p = len(others) * smallest_p(len(values[best]))
    p_values = dict(
        zip(
            others, holm([paired_test(values[run], values[best], resamples=RESAMPLES).p for run in others]), strict=True
        )
    )
    interval = _share_interval if metric.yes_or_no else bootstrap_interval
    figures = {}
    for run, column in values.items():
        low, high = interval(column)
        figures[run] = Figure(
            mean=means[run],
            low=low,
            high=high,
            n=len(column),
            best=metric.better != "neither" and means[run] == means[best],
            p=p_values.get(run),
            least_p=least_p,
        )
    return figures


def ranked(summaries: Sequence[RunSummary]) -> list[RunSummary]:
    """Best first, by the first measure of `SORTED_BY` that is there; runs without it last, in their order."""
    name = sorted_by(summaries)
    if name is None:
        return list(summaries)
    sign = -1 if metric_of(name).better == "higher" else 1

    def place(summary: RunSummary) -> float:
        figure = summary.figures[name]
        return math.inf if figure is None else sign * figure.mean

    return sorted(summaries, key=place)


def sorted_by(summaries: Sequence[RunSummary]) -> str | None:
    """The measure that gives the order; None where there is none."""
    return next((name for name in SORTED_BY if summaries and name in summaries[0].figures), None)


def missing(rows: Sequence[Row], runs: Sequence[str]) -> list[tuple[str, str, str, int]]:
    """What has no map and why: (runs or `NO_RUN`, status, reason, answers), most frequent first.

    Runs that have no map of the same answers for the same reason share a line.
    """
    last = {
        (NO_RUN if untried(row) else row["run"], row["sample"]): row
        for row in rows
        if row["run"] in runs and row["status"] != "ok"
    }
    answers: dict[tuple[str, str, str], set[str]] = {}
    for (run, sample), row in last.items():
        key = row["status"], row.get("error") or row.get("reason") or "", run
        answers.setdefault(key, set()).add(sample)
    shared: dict[tuple[str, str, frozenset[str]], list[str]] = {}
    for (status, reason, run), samples in answers.items():
        shared.setdefault((status, reason, frozenset(samples)), []).append(run)
    lines = [
        ("all" if len(names) == len(runs) > 1 else ", ".join(names), status, reason, len(samples))
        for (status, reason, samples), names in shared.items()
    ]
    return sorted(lines, key=lambda line: -line[3])


def to_records(summaries: Sequence[RunSummary]) -> list[dict[str, Any]]:
    """Plain types for JSON and Parquet: the same keys in every record."""
    return [
        asdict(summary) | {"share_without_map": summary.share_without_map, "errors": summary.errors}
        for summary in summaries
    ]


# ---- columns ----


def _values(maps: Mapping[str, Mapping[str, Row]], common: Sequence[str], name: str) -> dict[str, list[float]]:
    """The measure on the answers where all runs that have it at all have it."""
    defined = {
        run: {answer: float(found[answer][name]) for answer in common if _is_number(found[answer].get(name))}
        for run, found in maps.items()
        if found
    }
    defined = {run: column for run, column in defined.items() if column}
    shared = [answer for answer in common if all(answer in column for column in defined.values())]
    return {run: [column[answer] for answer in shared] for run, column in defined.items()} if shared else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _share_interval(values: Sequence[float]) -> tuple[float, float]:
    return wilson_interval(int(sum(values)), len(values))


def smallest_p(pairs: int) -> float:
    """The smallest p of a paired permutation test of so many pairs: all signs equal, of all ways to flip them."""
    return max(2.0 ** (1 - pairs), 1 / (RESAMPLES + 1))


def too_few(summaries: Sequence[RunSummary]) -> str:
    """A sentence where no difference between runs could be significant; "" where one could."""
    known = [figure for summary in summaries for figure in summary.figures.values() if figure is not None]
    if len(summaries) < 2 or not known or any(figure.tested for figure in known):
        return ""
    pairs, others = max(figure.n for figure in known), len(summaries) - 1
    needed = next(n for n in itertools.count(pairs) if others * smallest_p(n) < DISTINGUISHABLE_BELOW)
    return (
        f"With {pairs} {'answer' if pairs == 1 else 'answers'} no difference between {others + 1} runs can be "
        f"significant, however large it is: no run is marked. It takes {needed} answers or more."
    )


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return math.fsum(known) / len(known) if known else None
