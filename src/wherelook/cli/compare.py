"""`wherelook compare`: three questions over runs; and what it has in common with `wherelook report`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wherelook.cli import options
from wherelook.errors import InputError

if TYPE_CHECKING:
    from wherelook.analysis.results import Comparison

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of `wherelook run`.")]
Label = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="RUN=ARCHITECTURE:SCALE[:NAME]",
        help="What a run's model is compared by. Repeatable. [default: its class, and a class of sizes such as 6B-10B]",
    ),
]
Models = Annotated[
    Path | None,
    typer.Option(
        "--models", metavar="CSV", help="The same as a table with the columns run, architecture, scale and name."
    ),
]
Verdicts = Annotated[
    list[str] | None,
    typer.Option(
        "--verdicts",
        metavar="RUN=FILE",
        help="A file of verdicts, such as `wherelook judge` writes, that judges a run's answers instead of its "
        "rule. Repeatable.",
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="METHOD:PRESET",
        help="Method whose heatmaps are compared. [default: the first that all runs have]",
    ),
]
Measure = Annotated[
    str, typer.Option("--measure", help="How alike two maps are: rank-correlation, top-overlap or transport.")
]
Correction = Annotated[
    str,
    typer.Option(
        "--correction",
        help="holm (controls the family-wise error rate) or benjamini-hochberg (controls the false discovery rate).",
    ),
]
Level = Annotated[float, typer.Option("--level", min=0.5, max=0.999, help="Confidence level of the intervals.")]


def compare(
    runs: Runs,
    label: Label = None,
    models: Models = None,
    verdicts: Verdicts = None,
    method: Method = None,
    measure: Measure = "rank-correlation",
    correction: Correction = "holm",
    level: Level = 0.95,
    figures: options.Figures = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Do the models rely on the image, where do they look, and does it matter? Tables and tests, see docs/compare.md.

    Only samples that all models have rows for are compared.
    """
    from wherelook.report.comparison_text import to_text
    from wherelook.report.files import COMPARISON, to_record, write_comparison

    if figures is not None:
        COMPARISON.check(options.make_folder(figures, option="--figures"))
    found = compare_labelled(
        runs,
        label=label,
        models=models,
        verdicts=verdicts,
        method=method,
        measure=measure,
        correction=correction,
        level=level,
        seed=seed,
    )
    if figures is not None:
        write_comparison(found, figures)
    if as_json:
        options.print_json(to_record(found))
        return
    typer.echo(to_text(found, options.terminal_width()), nl=False)
    if figures is not None:
        typer.echo(f"\nfigures    {figures}")


def compare_labelled(
    runs: Sequence[Path],
    *,
    label: Sequence[str] | None,
    models: Path | None,
    verdicts: Sequence[str] | None,
    method: str | None,
    measure: str,
    correction: str,
    level: float,
    seed: int,
) -> Comparison:
    """The comparison that the options above ask for."""
    from wherelook.analysis.align_runs import parse_label, parse_verdicts, read_labels
    from wherelook.analysis.compare import compare_runs

    files = [parse_verdicts(text) for text in verdicts or ()]
    for run, count in Counter(run for run, _ in files).items():
        if count > 1:
            raise InputError(f"run {run!r} has {count} files of verdicts; expected one")
    labels = read_labels(models) if models is not None else {}
    labels |= dict(parse_label(text) for text in label or ())
    with options.progress_bar() as progress:
        return compare_runs(
            runs,
            labels=labels,
            method=method,
            verdicts=dict(files),
            measure=measure,
            correction=correction,
            level=level,
            seed=seed,
            progress=progress,
        )
