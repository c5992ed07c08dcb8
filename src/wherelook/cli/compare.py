"""`wherelook compare`: three questions over runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wherelook.cli import options


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of `wherelook run`.")],
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="RUN=ARCHITECTURE:SCALE[:NAME]",
            help="What a run's model is compared by. Repeatable. [default: its class and number of parameters]",
        ),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            "--models", metavar="CSV", help="The same as a table with the columns run, architecture, scale and name."
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="METHOD:PRESET", help="Whose maps. [default: the first that all runs have]"),
    ] = None,
    measure: Annotated[
        str, typer.Option("--measure", help="How alike two maps are: rank-correlation, top-overlap or transport.")
    ] = "rank-correlation",
    correction: Annotated[
        str,
        typer.Option("--correction", help="holm (no false finding) or benjamini-hochberg (few among the findings)."),
    ] = "holm",
    level: Annotated[float, typer.Option("--level", min=0.5, max=0.999, help="Of the intervals.")] = 0.95,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where every table goes as CSV and Parquet, and compare.json."),
    ] = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Do the models rely on the image, where do they look, and does it matter? Tables and tests, see docs/compare.md.

    Only samples that all models have rows for are compared.
    """
    from wherelook.report.comparison_text import to_text
    from wherelook.study.compare import compare_runs
    from wherelook.study.tables import to_record, write_tables
    from wherelook.study.together import parse_label, read_labels

    labels = read_labels(models) if models is not None else {}
    labels |= dict(parse_label(text) for text in label or ())
    if out is not None:
        options.make_folder(out)
    with options.progress_bar() as progress:
        found = compare_runs(
            runs,
            labels=labels,
            method=method,
            measure=measure,
            correction=correction,
            level=level,
            seed=seed,
            progress=progress,
        )
    if out is not None:
        write_tables(found, out)
    if as_json:
        options.print_json(to_record(found))
        return
    typer.echo(to_text(found), nl=False)
    if out is not None:
        typer.echo(f"\ntables     {out}")
