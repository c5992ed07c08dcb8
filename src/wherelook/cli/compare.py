"""`wherelook compare`: three questions over runs; and what it has in common with `wherelook report`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wherelook.arguments import option
from wherelook.cli import options
from wherelook.cli.configured import configured
from wherelook.errors import InputError

if TYPE_CHECKING:
    from wherelook.analysis.results import Comparison

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of `wherelook run`.")]


@dataclass(frozen=True, kw_only=True)
class Comparing:
    """What can be chosen about a comparison of runs; `compare` and `report` have these options."""

    label: Sequence[str] | None = option(
        None,
        "What a run's model is compared by. Repeatable. [default: its class, and a class of sizes such as 6B-10B]",
        metavar="RUN=ARCHITECTURE:SCALE[:NAME]",
        parse=tuple,
    )
    models: Path | None = option(
        None, "The same as a table with the columns run, architecture, scale and name.", metavar="CSV"
    )
    verdicts: Sequence[str] | None = option(
        None,
        "A file of verdicts, such as `wherelook judge` writes, that judges a run's answers instead of its rule. "
        "Repeatable.",
        metavar="RUN=FILE",
        parse=tuple,
    )
    method: str | None = option(
        None, "Method whose heatmaps are compared. [default: the first that all runs have]", metavar="METHOD:PRESET"
    )
    measure: str = option("rank-correlation", "How alike two maps are: rank-correlation, top-overlap or transport.")
    correction: str = option(
        "holm",
        "holm (controls the family-wise error rate) or benjamini-hochberg (controls the false discovery rate).",
    )
    level: float = option(0.95, "Confidence level of the intervals.", least=0.5, most=0.999)
    seed: int = option(0, "Seed of everything random.", least=0, most=2**62)

    def compare(self, runs: Sequence[Path]) -> Comparison:
        """The comparison of these folders of runs.

        Raises:
            InputError: two files of verdicts for a run, or what `wherelook.analysis.compare.compare_runs` refuses.
        """
        from wherelook.analysis.align_runs import parse_label, parse_verdicts, read_labels
        from wherelook.analysis.compare import compare_runs

        files = [parse_verdicts(text) for text in self.verdicts or ()]
        for run, count in Counter(run for run, _ in files).items():
            if count > 1:
                raise InputError(f"run {run!r} has {count} files of verdicts; expected one")
        labels = read_labels(self.models) if self.models is not None else {}
        labels |= dict(parse_label(text) for text in self.label or ())
        with options.progress_bar() as progress:
            return compare_runs(
                runs,
                labels=labels,
                method=self.method,
                verdicts=dict(files),
                measure=self.measure,
                correction=self.correction,
                level=self.level,
                seed=self.seed,
                progress=progress,
            )


AS_USUAL = Comparing()


@configured
def compare(
    runs: Runs,
    chosen: Comparing = AS_USUAL,
    figures: options.Figures = None,
    as_json: options.Json = False,
) -> None:
    """Do the models rely on the image, where do they look, and does it matter? Tables and tests, see docs/compare.md.

    Only samples that all models have rows for are compared.
    """
    from wherelook.report.comparison_text import to_text
    from wherelook.report.files import COMPARISON, to_record, write_comparison

    if figures is not None:
        COMPARISON.check(options.make_folder(figures, option="--figures"))
    found = chosen.compare(runs)
    if figures is not None:
        write_comparison(found, figures)
    if as_json:
        options.print_json(to_record(found))
        return
    typer.echo(to_text(found, options.terminal_width()), nl=False)
    if figures is not None:
        typer.echo(f"\nfigures    {figures}")
