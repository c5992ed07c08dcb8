"""`wherelook sweep`: how measures and cost move with one setting at a time."""

from __future__ import annotations

from typing import Annotated

import typer

from wherelook.arguments import key_values
from wherelook.cli import options
from wherelook.cli.configured import configured
from wherelook.cli.loading import AS_IT_IS, open_here
from wherelook.errors import WherelookError
from wherelook.models import LoadOptions


@configured
def sweep(
    values: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="KEY=V1,V2",
            help="A setting and its values; also alpha and seed. Repeatable, one at a time.",
        ),
    ],
    method: Annotated[str, typer.Option("--method", help="See `wherelook methods`.")] = "igos+",
    preset: Annotated[str, typer.Option("--preset", help="Where the other settings stay.")] = "best",
    dataset: Annotated[str, typer.Option("--dataset", help="See `wherelook evaluate`.")] = "scenes-tuning",
    n: Annotated[int, typer.Option("--n", min=1, help="Answers to explain.")] = 20,
    prompt: options.Prompt = "auto",
    judge: options.Judge = "auto",
    model: options.Model = "embedded",
    loading: LoadOptions = AS_IT_IS,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Changes one setting of a method at a time: measures and cost. For choosing settings, not for reporting."""
    from wherelook.analysis import method_table
    from wherelook.data.datasets import read_samples
    from wherelook.evaluation.evaluate import evaluate as evaluate_rows
    from wherelook.evaluation.failures import commonest_error
    from wherelook.evaluation.judges import check_judging
    from wherelook.evaluation.method_spec import sweep_methods
    from wherelook.report import method_tables

    check_judging(judge, prompt)
    runs = sweep_methods(method, preset, key_values(values))
    samples = read_samples(dataset)
    loaded = open_here(model, loading)
    with options.progress_bar() as progress:
        rows = list(
            evaluate_rows(
                loaded,
                samples,
                runs,
                count=n,
                prompt=prompt,
                judge=judge,
                seed=seed,
                progress=progress,
                warn=options.warn,
            )
        )
    if not any(row["status"] == "ok" for row in rows):
        found = commonest_error(row["error"] for row in rows if row["status"] == "error")
        why = f"; the commonest error ({found[1]} of {len(rows)} rows): {found[0]}" if found else ""
        raise WherelookError(f"no answer of {dataset!r} got a map: take other data, or another model{why}")
    summaries = method_table.summarize(rows, [run.name for run in runs])
    if as_json:
        options.print_json(method_table.to_records(summaries))
    else:
        typer.echo(method_tables.to_text(summaries, options.terminal_width()), nl=False)
