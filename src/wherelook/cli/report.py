"""`wherelook report`: the page of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wherelook.cli import options
from wherelook.cli.compare import AS_USUAL, Comparing, Runs
from wherelook.cli.configured import configured
from wherelook.errors import InputError

if TYPE_CHECKING:
    from wherelook.analysis.results import Comparison


@configured
def report(
    runs: Runs,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page.")] = Path("report.html"),
    gallery: Annotated[
        int, typer.Option("--gallery", metavar="N", min=0, max=1000, help="Samples to show with their images.")
    ] = 24,
    title: Annotated[str | None, typer.Option("--title", help="Of the page. [default: models and benchmarks]")] = None,
    figures: options.Figures = None,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            "--push-to-hub",
            metavar="OWNER/NAME",
            help="Also upload page and figures to this dataset of the Hugging Face hub; a new one is private.",
        ),
    ] = None,
    chosen: Comparing = AS_USUAL,
    as_json: options.Json = False,
) -> None:
    """Writes what `wherelook compare` finds as one HTML file with figures and samples, see docs/report.md.

    Reads records, and the images of the samples that it shows; runs no model.
    """
    from wherelook.report.examples import choose_exhibits
    from wherelook.report.files import COMPARISON, write_comparison
    from wherelook.report.models_page import read_runs, render
    from wherelook.storage import write_whole

    if out.is_dir():
        raise InputError(f"--out {str(out)!r} is a folder; expected the name of a file, such as report.html")
    options.make_folder(out.parent)
    options.check_page(out)
    if figures is not None:
        COMPARISON.check(options.make_folder(figures, option="--figures"))
    comparison = chosen.compare(runs)
    exhibition = choose_exhibits(comparison, gallery)
    page = render(
        comparison,
        exhibition,
        read_runs(comparison),
        title=title or _title(comparison),
        command=_command(
            runs,
            [
                *((f"--{name}", value) for name, value in vars(chosen).items() if name != "method"),
                ("--method", comparison.method), ("--gallery", gallery), ("--out", out),
            ],
        ),
    )  # fmt: skip
    write_whole(out, page.encode("utf-8", "backslashreplace"))
    written = [] if figures is None else write_comparison(comparison, figures)
    address = None
    if push_to_hub is not None:
        from wherelook.report.hub import push

        address = push(push_to_hub, out, written)
    if as_json:
        shown = len(exhibition.exhibits)
        result = {"page": str(out), "samples": exhibition.samples, "shown": shown, "notes": list(exhibition.notes)}
        options.print_json(result | {"figures": None if figures is None else str(figures), "address": address})
        return
    for note in (*comparison.notes, *exhibition.notes):
        typer.echo(f"note       {note}")
    typer.echo(f"report     {out}")
    if figures is not None:
        typer.echo(f"figures    {figures}")
    if address is not None:
        typer.echo(f"pushed     {address}")


def _title(comparison: Comparison) -> str:
    benchmarks = list(dict.fromkeys(line.benchmark for line in comparison.coverage))
    names = [model.name for model in comparison.models]
    who = names[0] if len(names) == 1 else f"{len(names)} models"
    return f"Where {who} look{'s' if len(names) == 1 else ''}: {', '.join(benchmarks)}"


def _command(runs: Sequence[Path], given: Sequence[tuple[str, object]]) -> str:
    from wherelook.explanation.command_line import shell_quote, to_words

    values = ((name, list(value) if isinstance(value, tuple) else value) for name, value in given)
    return " ".join(shell_quote(word) for word in ["wherelook", "report", *map(str, runs), *to_words(values)])
