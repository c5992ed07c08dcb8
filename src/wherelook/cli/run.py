"""`wherelook run`: a whole dataset, with a row for every sample and method."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wherelook.cli import options, terminal
from wherelook.cli.configured import configured
from wherelook.cli.loading import AS_IT_IS, check_loading
from wherelook.errors import InputError, WherelookError, unknown_name
from wherelook.models import EndpointModel, LoadOptions

if TYPE_CHECKING:
    import pyarrow

    from wherelook.data.datasets import Sample
    from wherelook.evaluation.run import Tally
    from wherelook.evaluation.run_folder import RunFolder

DEFAULT_METHOD = "igos+:fast"

SUMMARISED = ("run", "status", "correct", "blind_correct", "reliance", "seconds")
"""Columns that the summary is made from; of those from the third on it gives the mean."""

LINE_EVERY = 60.0
"""Seconds between lines of progress where there is no terminal."""


@configured
def run(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="As for `wherelook evaluate --dataset`.")],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Output directory; resumed if it exists.")],
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="METHOD[:PRESET]",
            help=f"See `wherelook methods`. Repeatable; methods can be added to a run. [default: {DEFAULT_METHOD}]",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Samples from the beginning. [default: all]")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="Of the benchmark, where runs are compared. [default: the dataset's, or its table's]"
        ),
    ] = None,
    prompt: options.Prompt = "auto",
    judge: options.Judge = "auto",
    blind: Annotated[bool, typer.Option("--blind", help="Also ask without the image, shown its mean color.")] = False,
    measures: Annotated[
        str,
        typer.Option(
            "--measures",
            help="map: no extra passes; replay: adds deletion and insertion; all: adds metrics that generate again.",
        ),
    ] = "replay",
    replay_steps: Annotated[
        int, typer.Option("--replay-steps", min=2, max=500, help="Points of the deletion and insertion curves.")
    ] = 50,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, help="Longest answer.")] = 64,
    engine: Annotated[str, typer.Option("--engine", help="local, or ray: docs/scale.md.")] = "local",
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=256, help="Processes, each with a model of its own.")
    ] = 1,
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            metavar="HOST:PORT",
            help="Of the cluster, for --engine ray; auto: this machine's. [default: Ray on this machine alone]",
        ),
    ] = None,
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            "--gpus-per-worker",
            help="For --engine ray: 0.5 has two workers share one, 2 spreads a model over two. [default: 1 if any]",
        ),
    ] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Retry failed samples; their rows stay until newer ones are there.")
    ] = False,
    model: options.ModelOrAddress = "embedded",
    loading: LoadOptions = AS_IT_IS,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Asks and explains every sample of a dataset: a row each per method, or its error, see docs/runs.md.

    The same command resumes where it was interrupted; further methods are added to the rows that are there. Changed
    settings, models or data are refused, not mixed. Exit code 1 if every row is an error.
    """
    from functools import partial

    from wherelook.evaluation.failures import Watch
    from wherelook.evaluation.method_spec import parse_methods
    from wherelook.evaluation.rows import called
    from wherelook.evaluation.run import ENGINES, execute
    from wherelook.evaluation.run_folder import open_run, read_run
    from wherelook.evaluation.worker import Procedure, load_worker
    from wherelook.explain import versions

    if engine not in ENGINES:
        raise unknown_name("engine", engine, tuple(ENGINES))
    chosen: Callable[..., Any] = ENGINES[engine]
    procedure = Procedure(
        dataset=dataset,
        methods=tuple(parse_methods(",".join(method or [DEFAULT_METHOD]))),
        name=name,
        prompt=prompt,
        judge=judge,
        measured=measures,
        replay_steps=replay_steps,
        blind=blind,
        max_new_tokens=max_new_tokens,
        seed=seed,
    )
    elsewhere = check_loading(model, loading, [one.method for one in procedure.methods])
    if engine == "ray":
        if (elsewhere or loading.device == "cpu") and gpus_per_worker is None:
            gpus_per_worker = 0.0
        if loading.device is None and (gpus_per_worker or 0) > 1 and not elsewhere:
            loading = replace(loading, device="auto")
        chosen = partial(chosen, address=ray_address, gpus_per_worker=gpus_per_worker)
    elif ray_address is not None or gpus_per_worker is not None:
        raise InputError("--ray-address and --gpus-per-worker need --engine ray")
    samples = _open_samples(dataset, limit, out)
    asked = model
    if elsewhere:
        endpoint = EndpointModel(model, loading)
        asked = called(endpoint.description)
        samples = options.announce_samples(endpoint, samples, procedure.methods)
    share = replace(loading, concurrency=max(1, loading.concurrency // workers)) if elsewhere else loading
    make_worker = partial(load_worker, procedure, model, share)
    configuration = {"model": asked, **procedure.record}
    with open_run(out, configuration, versions()) as folder:
        _resume(folder, retry_errors)
        with _progress() as progress:
            tally = execute(
                samples,
                folder,
                make_worker,
                limit=limit,
                engine=chosen,
                workers=workers,
                progress=progress,
                watch=Watch(options.warn, procedure.prompt),
            )
    _show(read_run(out, (*SUMMARISED, "error"))[1], tally, out, as_json)


def _show(table: pyarrow.Table, tally: Tally, out: Path, as_json: bool) -> None:
    """Prints the summary of a run.

    Raises:
        WherelookError: nothing worked.
    """
    summary = _summary(table)
    if as_json:
        options.print_json({"folder": str(out), "samples": tally.done, "samples_now": tally.now, "runs": summary})
    else:
        from wherelook.report.table import from_rows

        options.print_table(from_rows("runs", summary))
        typer.echo(f"{options.counted(tally.done, 'sample')} done ({tally.now} new), in {out}")
    _report_failures(table, out)


def _resume(folder: RunFolder, retry_errors: bool) -> None:
    """Says what became of the folder's files, and what is done again."""
    for note in folder.notes:
        options.warn(note)
    if retry_errors:
        typer.echo(f"retry      {options.counted(folder.retry_errors(), 'failed sample')}", err=True)


def _report_failures(table: pyarrow.Table, out: Path) -> None:
    """The commonest error of every method that failed.

    Raises:
        WherelookError: nothing worked.
    """
    from wherelook.evaluation.failures import commonest_error

    rows = table.select(["run", "status", "error"]).to_pylist()
    failed = [row for row in rows if row["status"] == "error"]
    if rows and len(failed) == len(rows):
        error, count = commonest_error(row["error"] for row in failed) or ("", 0)
        raise WherelookError(
            f"none of {options.counted(len(rows), 'row')} in {out} worked; the commonest error ({count} of them): "
            f"{error} (the rows are kept; --retry-errors does them again)"
        )
    reasons: dict[str, list[str]] = {}
    for run in dict.fromkeys(row["run"] for row in failed):
        own = [row["error"] for row in failed if row["run"] == run]
        error, count = commonest_error(own) or ("", 0)
        text = f"{options.counted(len(own), 'sample')} failed, the commonest error ({count} of them): {error}"
        reasons.setdefault(text, []).append(run)
    for text, runs in reasons.items():
        options.warn(f"{text} ({', '.join(runs)}; --retry-errors tries again)")


def _open_samples(dataset: str, limit: int | None, out: Path) -> Iterator[Sample]:
    """The samples, and a folder to write to; what is wrong with either is found before a model is loaded."""
    from wherelook.data.datasets import DRAWN, read_samples

    samples = read_samples(dataset)
    options.make_folder(out)
    if limit is None and dataset in DRAWN:
        raise InputError(f"{dataset!r} is drawn as needed and has no end: say how many samples with --limit")
    return samples


def _summary(table: pyarrow.Table) -> list[dict[str, Any]]:
    """For every run how many rows there are of each status, and means over the rows that have them."""
    from wherelook.score import Status

    found = []
    rows = table.to_pylist()
    for run_name in dict.fromkeys(row["run"] for row in rows):
        own = [row for row in rows if row["run"] == run_name]
        line: dict[str, Any] = {"run": run_name, "rows": len(own)}
        line |= {status: sum(row["status"] == status for row in own) for status in (*get_args(Status), "error")}
        for name in SUMMARISED[2:]:
            values = [row[name] for row in own if row[name] is not None]
            line[name] = round(sum(values) / len(values), 3) if values else None
        found.append(line)
    return found


@contextmanager
def _progress() -> Iterator[Callable[[Tally], None]]:
    """A bar on a terminal; elsewhere a line on standard error every minute, for the log of a long run."""
    console = Console(file=terminal.styled(sys.stderr))
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar, terminal.guarded():
        task = bar.add_task("samples", total=None, rate="")
        started = time.monotonic()

        def report(tally: Tally) -> None:
            failures = f", {tally.failed} failed" if tally.failed else ""
            rate = f"{tally.now / max(time.monotonic() - started, 1e-9):.2f}/s{failures}"
            bar.update(task, completed=tally.done, total=tally.total, rate=rate)

        yield report


class _Lines:
    """Progress as lines: samples, rate, time left, failures."""

    def __init__(self) -> None:
        self.started = self.last = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self.last < LINE_EVERY:
            return
        self.last = now
        rate = tally.now / (now - self.started)
        of = "" if tally.total is None else f" of {tally.total}"
        left = ""
        if tally.total is not None and rate > 0:
            left = f", {(tally.total - tally.done) / rate / 60:.0f} min left"
        print(f"{tally.done}{of} samples done, {rate:.2f}/s{left}, {tally.failed} failed", file=sys.stderr, flush=True)
