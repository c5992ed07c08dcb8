"""A comparison of runs as text: its tables, the tests with all that a reader needs to judge them, and notes."""

from __future__ import annotations

from collections.abc import Iterable

from wherelook.analysis.results import Comparison, Finding, Question
from wherelook.report.formatting import CORRECTIONS, QUESTIONS, SIGNIFICANT, p_value, plural, text
from wherelook.report.table import Table, wrap
from wherelook.report.tables import make_tables, reasons


def to_text(comparison: Comparison, width: int | None = None) -> str:
    """All tables, tests, assumptions and notes.

    Args:
        comparison: what it tells.
        width: characters of a line, which words keep to, and tables if their numbers allow it; None: prose keeps to
            `PROSE`, and tables are as wide as they are.
    """
    tables = make_tables(comparison)

    def shown(*chosen: Table) -> list[str]:
        return [
            f"{wrap(table.caption, width)}\n{table.to_text(width)}" for table in chosen if table.rows
        ]  # fmt: skip

    def question(name: Question, *chosen: str) -> list[str]:
        title = f"{list(QUESTIONS).index(name) + 1}. {QUESTIONS[name]}"
        found = shown(*(tables[one] if one != "cells" else tables[one].where(task=None) for one in chosen))
        return [f"{title}\n{'=' * len(title)}", *found, *_findings(comparison, name, width)]

    level = f"{comparison.level:.0%}"
    intro = f"Maps of {comparison.method}; intervals in brackets hold {level}; seed {comparison.seed}."
    parts = [
        wrap(intro, width),
        *shown(*(tables[name] for name in ("models", "coverage", "judges")), reasons(comparison)),
        *question("reliance", "own", "reliance"),
        *question("focus", "focus", "metrics", "human", "relations", "pairs", "merges"),
        *question("evidence", "evidence", "cells", "calibrations"),
        *_listed("What the tests assume", (
            f"{name}: {assumptions}" for name, assumptions in dict.fromkeys(
                (finding.test.name, finding.test.assumptions) for finding in comparison.findings
            )
        ), width),
        *_listed("Tests not run", comparison.notes, width),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _findings(comparison: Comparison, question: Question, width: int | None) -> list[str]:
    own = [finding for finding in comparison.findings if finding.question == question]
    if not own:
        return []
    correction, count = CORRECTIONS[comparison.correction], plural(len(comparison.findings), "test")
    title = f"Tests (* p < {SIGNIFICANT:g} after {correction} over all {count})"
    return ["\n".join([wrap(title, width), *(_finding(finding, width) for finding in own)])]


def _finding(finding: Finding, width: int | None) -> str:
    test = finding.test
    mark = "*" if finding.p < SIGNIFICANT else " "
    size = f"n = {test.n}" if test.clusters is None else f"n = {test.n} in {test.clusters} clusters"
    effects = "; ".join(f"{one.name} {text(one)}" for one in (test.effect, test.standardized) if one is not None)
    p, corrected = (p_value(value, floor=test.at_floor) for value in (test.p, finding.p))
    head = wrap(f"{finding.subject}, {finding.benchmark}: {finding.asked}", width, f"{mark} ", "  ")
    return f"{head}\n{wrap(f'{test.name}, {size}, p {p}, corrected {corrected}; {effects}', width, '    ', '    ')}"


def _listed(title: str, lines: Iterable[str], width: int | None) -> list[str]:
    shown = [wrap(line, width, "- ", "  ") for line in lines]
    return ["\n".join([title, *shown])] if shown else []
