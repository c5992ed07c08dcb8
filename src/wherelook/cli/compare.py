"""`wherelook compare`: three questions over runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wherelook.cli import comparing, options


def compare(
    runs: comparing.Runs,
    label: comparing.Label = None,
    models: comparing.Models = None,
    verdicts: comparing.Verdicts = None,
    method: comparing.Method = None,
    measure: comparing.Measure = "rank-correlation",
    correction: comparing.Correction = "holm",
    level: comparing.Level = 0.95,
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
    from wherelook.report.table_files import check_tables, to_record, write_tables

    if out is not None:
        check_tables(options.make_folder(out))
    found = comparing.compare_labelled(
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
    if out is not None:
        write_tables(found, out)
    if as_json:
        options.print_json(to_record(found))
        return
    typer.echo(to_text(found), nl=False)
    if out is not None:
        typer.echo(f"\ntables     {out}")
