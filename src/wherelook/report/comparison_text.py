"""A comparison of runs as text of at most 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from itertools import groupby
from typing import Any

from wherelook.analysis.results import (
    CalibrationLine,
    Comparison,
    Coverage,
    EvidenceLine,
    Finding,
    FocusLine,
    HumanLine,
    JudgeLine,
    OwnFigure,
    PairLine,
    Question,
    RelationLine,
    RelianceLine,
    Skipped,
    Tree,
)
from wherelook.report.formatting import (
    CORRECTIONS,
    DASH,
    QUESTIONS,
    SIGNIFICANT,
    figure,
    p_value,
    percent_interval,
    percent_value,
    ratio,
    ratio_interval,
)
from wherelook.stats import Estimate

WIDTH = 100
NAME, SHORT = 20, 10
"""Most characters in a table of a model's name, and of a task's or scale's."""
EXAMPLES = 3
"""Samples that are named of each kind."""
ALL_TASKS = "all"
CELLS = ("both right", "place only", "answer only", "neither")
"""The four cells: right place and right answer, the right place only, and so on."""


def to_text(comparison: Comparison) -> str:
    """All tables, tests, assumptions and notes. Long names are cut in tables."""
    level = f"{comparison.level:.0%}"
    models = [
        _wrap(f"{model.name}: {model.architecture}, {model.scale}; {model.id}, {model.dtype}", rest="  ")
        for model in comparison.models
    ]
    parts = [
        _wrap(f"Maps of {comparison.method}; intervals in brackets hold {level}; seed {comparison.seed}."),
        _titled("Models", "\n".join(models)),
        *_per_benchmark("Coverage: samples by status", comparison.coverage, _coverage),
        *_per_benchmark("Judged by files of verdicts in the place of the rule", comparison.judges, _judges),
        *_skipped(comparison.skipped),
        _heading("reliance"),
        *_per_benchmark("The benchmark's own figures, in %", comparison.own, _own),
        *_per_benchmark("Shares in %", comparison.reliance, _reliance),
        _findings(comparison, "reliance"),
        _heading("focus"),
        *_per_benchmark("Where the maps lie, in % (a flat map: 50, 100, 25, 44)", comparison.focus, _focus),
        *_per_benchmark("Agreement with where people looked (rank correlation; shares in %)", comparison.human, _human),
        *_per_benchmark(
            f"Similarity of focus ({comparison.measure}) by what differs", comparison.relations, _relations
        ),
        *_per_benchmark("Similarity of focus by pair", comparison.pairs, _pairs),
        *(_tree(tree) for tree in comparison.trees),
        _findings(comparison, "focus"),
        _heading("evidence"),
        *_per_benchmark(f"Place and answer: {' / '.join(CELLS)}; shares in %", comparison.evidence, _evidence),
        *_examples(comparison.evidence),
        *_per_benchmark("Reliance as a forecast of being right", comparison.calibrations, _calibrations),
        _findings(comparison, "evidence"),
        _assumptions(comparison),
        *_notes(comparison.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


# ---- tables ----


def _per_benchmark(title: str, lines: Sequence[Any], table: Callable[[list[Any]], str]) -> list[str]:
    return [
        _titled(f"{title}, {benchmark}", table(list(own)))
        for benchmark, own in groupby(lines, key=lambda line: line.benchmark)
    ]


def _coverage(lines: Sequence[Coverage]) -> str:
    head = ["model", "samples", "common", "ok", "not visual", "weak gap", "error", "judged", "evidence"]
    return _table(
        head,
        [
            [_cut(line.model), *(str(getattr(line, field.name)) for field in fields(line)[2:])]
            for line in lines
        ],
    )  # fmt: skip


def _judges(lines: Sequence[JudgeLine]) -> str:
    table = _table(
        ["model", "judge", "answers", "judged", "by the rule too", "agree", "kappa"],
        [
            [_cut(line.model), _cut(line.judge), str(line.answers), str(line.judged), str(line.both),
             _percent(line.agree), figure(line.kappa)]
            for line in lines
        ],
    )  # fmt: skip
    sources = [
        _wrap(
            f"{line.run}: {line.file}; answers without a verdict: {line.answers - line.judged}; "
            f"its rule: {line.rule or DASH}",
            first="  ",
            rest="    ",
        )
        for line in lines
    ]
    return "\n".join([table, *sources])


def _reliance(lines: Sequence[RelianceLine]) -> str:
    head = ["task", "model", "answers", "resting", "tokens resting", "right", "right blind"]
    return _table(
        head,
        [
            [*_names(line), str(line.answers), _percent(line.resting),
             _percent(line.tokens_resting), _percent(line.accuracy), _percent(line.blind_accuracy)]
            for line in lines
        ],
    )  # fmt: skip


def _own(lines: Sequence[OwnFigure]) -> str:
    head = ["task", "model", "figure", "n", "%"]
    return _table(head, [[*_names(line), line.figure, str(line.items), _percent(line.value)] for line in lines])


def _focus(lines: Sequence[FocusLine]) -> str:
    head = ["model", "maps", "half of it", "area", "center", "border"]
    return _table(
        head,
        [
            [_cut(line.model), str(line.maps), *map(_percent, (line.half, line.area, line.center, line.border))]
            for line in lines
        ],
    )


def _human(lines: Sequence[HumanLine]) -> str:
    head = ["model", "answers", "agreement", "center", "people", "energy", "chance"]
    return _table(
        head,
        [
            [_cut(line.model), str(line.answers), *map(figure, (line.correlation, line.center, line.ceiling)),
             _percent(line.energy), _percent(line.chance)]
            for line in lines
        ],
    )  # fmt: skip


def _relations(lines: Sequence[RelationLine]) -> str:
    return _table(
        ["what differs", "within", "pairs", "samples", "similarity"],
        [
            [line.relation, _cut(line.within or ALL_TASKS), str(line.pairs), str(line.items), figure(line.similarity)]
            for line in lines
        ],
    )


def _pairs(lines: Sequence[PairLine]) -> str:
    return _table(
        ["model", "model", "what differs", "similarity", "by chance"],
        [
            [_cut(line.first), _cut(line.second), line.relation, figure(line.similarity), figure(line.chance)]
            for line in lines
        ],
    )


def _tree(tree: Tree) -> str:
    found = tree.hierarchy
    lines = [
        _wrap(
            f"at {merge.height:.2f}, in {merge.support:.0%} of resamples: {', '.join(merge.members)}",
            first="  ",
            rest="    ",
        )
        for merge in found.merges
    ]
    head = f"Which models look alike, {tree.benchmark}: distances at which they join, over {found.items} samples"
    order = _wrap(f"order: {', '.join(found.order)}", first="  ", rest="    ")
    return _titled(head, "\n".join([*lines, order]))


def _evidence(lines: Sequence[EvidenceLine]) -> str:
    head = ["task", "model", "answers", "cells", "place right", "chance", "odds ratio"]
    return _table(
        head,
        [
            [*_names(line), str(line.answers), " / ".join(str(cell.count) for cell in line.cells),
             _percent(line.right_place), f"{100 * line.chance:.0f}", _ratio(line.odds_ratio)]
            for line in lines
        ],
    )  # fmt: skip


def _calibrations(lines: Sequence[CalibrationLine]) -> str:
    head = ["task", "model", "answers", "calibration error", "Brier score", "ROC area"]
    return _table(
        head,
        [
            [*_names(line), str(line.calibration.n), f"{line.calibration.error:.2f}",
             figure(line.calibration.brier), figure(line.calibration.roc_area)]
            for line in lines
        ],
    )  # fmt: skip


def _examples(lines: Iterable[EvidenceLine]) -> list[str]:
    found = []
    for line in lines:
        if line.task is None:
            cells = [
                f"{head} {', '.join(cell.samples[:EXAMPLES])}"
                for head, cell in zip(CELLS, line.cells, strict=True)
                if cell.samples
            ]
            found.append(_wrap(f"{line.model}, {line.benchmark}: {'; '.join(cells)}.", rest="  "))
    return [_titled("Examples", "\n".join(found))] if found else []


def _skipped(lines: Sequence[Skipped]) -> list[str]:
    groups: dict[tuple[str, str, str], list[Skipped]] = {}
    for line in lines:
        groups.setdefault((line.benchmark, line.model, line.status), []).append(line)
    texts = []
    for (benchmark, model, status), own in groups.items():
        more = f" and {len(own) - EXAMPLES} more" if len(own) > EXAMPLES else ""
        names = ", ".join(line.sample for line in own[:EXAMPLES])
        reason = own[0].reason if len({line.reason for line in own}) == 1 else f"for example: {own[0].reason}"
        texts.append(_wrap(f"{model}, {benchmark}, {status}: {names}{more} ({reason})", rest="  "))
    return [_titled("Samples without a map", "\n".join(texts))] if texts else []


# ---- tests ----


def _findings(comparison: Comparison, question: Question) -> str:
    own = [finding for finding in comparison.findings if finding.question == question]
    if not own:
        return ""
    correction = f"{CORRECTIONS[comparison.correction]} over all tests shown"
    title = f"Tests (* p < {SIGNIFICANT:g} after {correction}, {len(comparison.findings)})"
    return _titled(title, "\n".join(_finding(finding) for finding in own))


def _finding(finding: Finding) -> str:
    test = finding.test
    mark = "*" if finding.p < SIGNIFICANT else " "
    size = f"n = {test.n}" if test.clusters is None else f"n = {test.n} in {test.clusters} clusters"
    effects = "; ".join(f"{one.name} {figure(one)}" for one in (test.effect, test.standardized) if one is not None)
    head = f"{finding.subject}, {finding.benchmark}: {finding.asked}"
    p, corrected = (p_value(value, floor=test.at_floor) for value in (test.p, finding.p))
    body = f"{test.name}, {size}, p {p}, corrected {corrected}; {effects}"
    return _wrap(head, first=f"{mark} ", rest="  ") + "\n" + _wrap(body, first="    ", rest="    ")


def _assumptions(comparison: Comparison) -> str:
    found = dict.fromkeys((finding.test.name, finding.test.assumptions) for finding in comparison.findings)
    lines = [_wrap(f"{name}: {assumptions}", first="- ", rest="  ") for name, assumptions in found]
    return _titled("What the tests assume", "\n".join(lines)) if lines else ""


def _notes(notes: Sequence[str]) -> list[str]:
    lines = [_wrap(note, first="- ", rest="  ") for note in notes]
    return [_titled("What could not be done", "\n".join(lines))] if lines else []


# ---- words and figures ----


def _percent(estimate: Estimate | None) -> str:
    if estimate is None:
        return DASH
    return f"{percent_value(estimate)} ({percent_interval(estimate)})"


def _ratio(estimate: Estimate | None) -> str:
    return DASH if estimate is None else f"{ratio(estimate.value)} ({ratio_interval(estimate)})"


def _heading(question: Question) -> str:
    text = f"{list(QUESTIONS).index(question) + 1}. {QUESTIONS[question]}"
    return f"{text}\n{'=' * len(text)}"


def _titled(title: str, text: str) -> str:
    return f"{_wrap(title)}\n{text}"


def _wrap(text: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        " ".join(_printable(text).split()), WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *lines)
    )


def _names(line: RelianceLine | EvidenceLine | CalibrationLine | OwnFigure) -> tuple[str, str]:
    return _cut(line.task or ALL_TASKS, SHORT), _cut(line.model)


def _cut(text: str, most: int = NAME) -> str:
    text = _printable(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _printable(text: str) -> str:
    """Names come from data: nothing in them may steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
