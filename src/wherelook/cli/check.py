"""`wherelook check`."""

from __future__ import annotations

from typing import Annotated

import typer

from wherelook.cli import options
from wherelook.cli.configured import configured
from wherelook.cli.loading import AS_IT_IS, open_here
from wherelook.load_options import LoadOptions


@configured
def check(
    model: Annotated[str, typer.Argument(help="Hub id or local folder of an image-text-to-text model.")],
    loading: LoadOptions = AS_IT_IS,
    as_json: options.Json = False,
) -> None:
    """Does this model work? Geometry, gradient, batching, teacher forcing, memory; exit code 1 if something fails."""
    from wherelook.check import check_model

    loaded = open_here(model, loading)
    findings = check_model(loaded)
    works = all(finding.passed for finding in findings)
    if as_json:
        rows = [{"check": f.name, "passed": f.passed, "measured": f.measured} for f in findings]
        options.print_json({"model": loaded.description, "works": works, "checks": rows})
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.passed else 'FAIL'}  {finding.name}: {finding.measured}")
        typer.echo(f"{model} {'works' if works else 'does not work'} with wherelook.")
    if not works:
        raise typer.Exit(1)
