"""`wherelook sanity`: do maps change when weights, image or question are changed?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wherelook.cli import options
from wherelook.cli.configured import configured
from wherelook.cli.loading import AS_IT_IS, open_here
from wherelook.models import LoadOptions

if TYPE_CHECKING:
    from wherelook.report.table import Table


@configured
def sanity(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Hub id or local folder; embedded for the built-in one.")
    ],
    methods: Annotated[
        str, typer.Option("--methods", help="Comma-separated, method or method:preset, see `wherelook methods`.")
    ] = "igos+,random,center,edges",
    dataset: Annotated[str, typer.Option("--dataset", help="See `wherelook evaluate`.")] = "scenes",
    n: Annotated[int, typer.Option("--n", min=2, help="Answers to check on.")] = 10,
    prompt: options.Prompt = "auto",
    judge: options.Judge = "auto",
    wrong: Annotated[bool, typer.Option("--wrong", help="Check on wrong answers too.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Output directory for sanity.json, resumed if it exists; `wherelook evaluate` with the same one shows "
            "its verdicts. Those on more answers stay.",
        ),
    ] = None,
    loading: LoadOptions = AS_IT_IS,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Shuffles weights in stages, swaps the image and the question: rank correlation of the maps before and after.

    A method whose maps keep a mean correlation above 0.3 after all weights were shuffled fails: it does not explain the
    model. "no map" is a good answer too: nothing was left to explain.
    """
    from wherelook.data.datasets import read_samples
    from wherelook.evaluation.judges import check_judging
    from wherelook.evaluation.method_spec import parse_methods
    from wherelook.evaluation.sanity import STAGES, check_sanity, to_rows
    from wherelook.evaluation.sanity_files import (
        CHECKS_FILE,
        VERDICTS_FILE,
        conditions,
        make_checks,
        read_verdicts,
        write_verdicts,
    )

    runs = parse_methods(methods)
    check_judging(judge, prompt)
    samples = read_samples(dataset)
    if out is not None:
        options.take_folder(out)
    loaded = open_here(model, loading)
    about = conditions(
        loaded,
        model,
        dataset,
        prompt=prompt,
        judge=judge,
        wrong=wrong,
        prompt_template=loading.prompt_template,
        seed=seed,
    )
    if out is not None:
        read_verdicts(out / VERDICTS_FILE, about, runs)  # what is wrong with it is found before the work
    with options.progress_bar() as progress:
        checks = make_checks(
            None if out is None else out / CHECKS_FILE,
            about,
            runs,
            lambda known: check_sanity(
                loaded,
                samples,
                runs,
                count=n,
                only_right=not wrong,
                prompt=prompt,
                judge=judge,
                seed=seed,
                known=known,
                progress=progress,
                warn=options.warn,
            ),
        )
    rows = to_rows(checks, runs, asked=n)
    if out is not None:
        write_verdicts(out / VERDICTS_FILE, about, rows)
    if as_json:
        options.print_json(rows)
        return
    options.print_table(_table(rows, STAGES))


def _table(rows: Sequence[dict[str, Any]], stages: Sequence[str]) -> Table:
    """A row for every method, a column for every stage."""
    from wherelook.report.formatting import words
    from wherelook.report.table import Column, Table

    columns = (
        Column("method", "Method"),
        Column("verdict", "Verdict"),
        *(Column(name, words(name), "number") for name in stages),
    )
    caption = "Mean rank correlation with the map before the change, 95 % interval, answers left without a map."
    shown = tuple({**row, **{stage: _value(row[stage]) for stage in stages}} for row in rows)
    return Table("sanity", caption, columns, shown)


def _value(stage: dict[str, Any]) -> Any:
    """The mean correlation of a stage, with how many answers have no map after it."""
    from wherelook.report.table import Marked
    from wherelook.stats import Estimate

    if not stage.get("checked", True):
        return Marked(None, note="not checked")
    if stage["mean"] is None:
        return Marked(None, note="no map")
    value = Estimate("rank correlation", stage["mean"], stage["low"], stage["high"], "")
    return Marked(value, note=f"{stage['no_map']} no map" if stage["no_map"] else "")
