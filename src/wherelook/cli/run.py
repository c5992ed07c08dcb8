"""`wherelook run`: a whole dataset, with a row for every sample and method.

What `run` is told, `evaluate`, `sanity` and `sweep` are told too: they are runs with other defaults and a page.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wherelook.arguments import LARGEST, STEPS, key_values, option
from wherelook.cli import options, terminal
from wherelook.cli.configured import configured
from wherelook.cli.loading import AS_IT_IS, check_loading, warn_of_memory
from wherelook.errors import InputError, WherelookError, unknown_name
from wherelook.load_options import LoadOptions

if TYPE_CHECKING:
    import pyarrow

    from wherelook.data.datasets import Sample
    from wherelook.evaluation.method_spec import MethodSpec
    from wherelook.evaluation.run import Extent, Tally
    from wherelook.evaluation.run_folder import RunFolder
    from wherelook.evaluation.worker import Procedure

DEFAULT_METHOD = "guided-igos:fast"

SUMMARIZED = ("run", "status", "correct", "blind_correct", "reliance", "seconds")
"""Columns that the summary is made from; of those from the third on it gives the mean."""

TOLD_OF_LOADING = ("model_name", "revision", "dtype", "quantize", "trust_remote_code", "attn_implementation",
                   "prompt_template", "max_pixels", "think", "system", "chat_template_kwargs",
                   "max_thinking_tokens")  # fmt: skip

LINE_EVERY = 60.0
"""Seconds between lines of progress where there is no terminal."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What of a dataset is run, and how: the options of `run`, `evaluate`, `sanity` and `sweep`, which differ in their
    defaults alone.
    """

    method: Sequence[str] = option(
        (DEFAULT_METHOD,),
        "See `wherelook methods`. Repeatable, or with commas; methods can be added to a run.",
        metavar="METHOD[:PRESET]",
        kind=list[str],
    )
    values: Mapping[str, str] | None = option(
        None,
        "A setting and its values, also alpha and seed: each method is run with each of them too. Repeatable, one at a "
        "time.",
        flag="--set",
        metavar="KEY=V1,V2",
        parse=key_values,
    )
    limit: int | None = option(None, "Samples from the beginning. [default: all]", kind=int, least=1)
    answers: int | None = option(None, "Answers to explain: stop when there are as many.", kind=int, least=1)
    right_only: bool = option(
        False, "A wrong answer gets a row without a map; or is explained too.", flag="--right-only/--wrong"
    )
    name: str | None = option(
        None, "Of the benchmark, where runs are compared. [default: the dataset's, or its table's]", kind=str
    )
    prompt: str = option(
        "auto",
        "auto: as the dataset's authors ask; open: the question alone; choices: with its lettered options, if any; "
        "short, yes-no, vizwiz: with that instruction (docs/datasets.md).",
    )
    judge: str = option(
        "auto",
        "exact, normalized, option-letter, yes-no, consensus, none, or another package's; auto: the dataset's own, "
        "else what fits the reference (docs/judges.md).",
    )
    baseline: str = option("auto", "What replaces a removed region, as in `wherelook explain`.")
    blind: bool = option(False, "Also ask without the image, shown its mean color.")
    metric: Sequence[str] = option(
        ("replay",),
        "See `wherelook metrics`; or map (what costs no pass; always taken), replay (deletion and insertion too), all "
        "(what asks the model again too). Repeatable.",
        metavar="NAME",
        kind=list[str],
    )
    replay_steps: int = option(STEPS, "Points of the deletion and insertion curves.", least=2, most=500)
    stability: int = option(
        0, "On so many answers, also maps of another seed, a noisy image, and a paraphrased question.", least=0
    )
    sanity: int = option(
        0,
        "On so many answers (0, or 2 and more), also maps after weights, image or question were changed.",
        least=0,
    )
    baseline_from_dataset: bool = option(
        False,
        "Where no word rests on what blur, mean color and strong blur remove, try the dataset's next other image as "
        "the baseline.",
    )
    max_new_tokens: int = option(64, "Longest answer.", least=1)
    seed: int = option(0, "Seed of everything random.", least=0, most=LARGEST)
    engine: str = option("local", "local, or ray: docs/scale.md.")
    workers: int = option(1, "Processes, each with a model of its own.", least=1, most=256)
    ray_address: str | None = option(
        None,
        "Of the cluster, for --engine ray; auto: this machine's. [default: Ray on this machine alone]",
        metavar="HOST:PORT",
        kind=str,
    )
    gpus_per_worker: float | None = option(
        None,
        "For --engine ray: 0.5 has two workers share one, 2 spreads a model over two. [default: 1 if any]",
        kind=float,
    )
    retry_errors: bool = option(
        False, "Retry failed samples; or leave their rows.", flag="--retry-errors/--keep-errors"
    )

    @cached_property
    def methods(self) -> tuple[MethodSpec, ...]:
        """The methods, each with the settings that are to be tried.

        Raises:
            InputError: an unknown name, or a value out of range.
        """
        from wherelook.evaluation.method_spec import parse_methods, sweep_methods

        return tuple(sweep_methods(parse_methods(",".join(self.method)), self.values or {}))

    def procedure(self, dataset: str) -> Procedure:
        """What is done with every sample.

        Raises:
            InputError: it cannot be.
        """
        from wherelook.evaluation.worker import Procedure

        same = {one.name for one in fields(Procedure)} & vars(self).keys()
        given = {name: getattr(self, name) for name in same}
        return Procedure(dataset, **given | {"methods": self.methods, "metrics": tuple(self.metric)})

    @property
    def extent(self) -> Extent:
        """How much is run."""
        from wherelook.evaluation.run import Extent

        return Extent(**{one.name: getattr(self, one.name) for one in fields(Extent)})


DEFAULT = Choices()

Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="scenes or things (drawn, never used for choosing anything), NAME:PATH (see `wherelook datasets`), a "
        "folder of `wherelook scenes`, or a table with image and question (and answer, mask, paraphrase if known).",
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="RUN", help="Output directory; resumed if it is there.")]


@configured
def run(
    dataset: Dataset,
    out: Out,
    chosen: Choices = DEFAULT,
    model: options.ModelOrAddress = None,
    loading: LoadOptions = AS_IT_IS,
    as_json: options.Json = False,
) -> None:
    """Asks and explains every sample of a dataset: a row each per method, or its error, see docs/runs.md.

    The same command resumes where it was interrupted; methods, settings, stability and sanity checks are added to the
    rows that are there. Changed settings, models or data are refused, not mixed. Exit code 1 if every row is an error.
    """
    from wherelook.evaluation.run_folder import read_run

    _, tally = carry_out(dataset, out, chosen, model, loading)
    _show(read_run(out, (*SUMMARIZED, "error"))[1], tally, out, as_json)
    if tally.failure is not None:
        raise tally.failure


def carry_out(dataset: str, out: Path, chosen: Choices, model: str | None, loading: LoadOptions) -> tuple[str, Tally]:
    """Does what of a run is missing.

    Returns:
        What the model is called, and how far the run is.
    """
    from wherelook.evaluation.failures import Watch
    from wherelook.evaluation.rows import called
    from wherelook.evaluation.run import execute
    from wherelook.evaluation.run_folder import open_run
    from wherelook.evaluation.worker import load_worker
    from wherelook.explanation.versions import versions

    if chosen.sanity == 1:
        raise InputError("--sanity is 0 (no check) or at least 2 answers, which lend each other image and question")
    procedure = chosen.procedure(dataset)
    model = options.model_of(model, dataset)
    elsewhere = check_loading(model, loading, [one.method for one in procedure.methods])
    if elsewhere and chosen.sanity:
        raise InputError("--sanity shuffles weights, and those of an endpoint are out of reach: leave it out")
    engine, loading = _engine(chosen, loading, elsewhere=elsewhere)
    read = _reader(dataset, out, chosen)
    asked = model
    if elsewhere:
        from wherelook.models import EndpointModel

        endpoint = EndpointModel(model, loading)
        asked = called(endpoint.description)
        read = _once(options.announce_samples(endpoint, read(), procedure.methods), read)
        loading = replace(loading, concurrency=max(1, loading.concurrency // chosen.workers))
    elif chosen.engine == "local":
        warn_of_memory(model, loading)
    configuration = {"model": asked, "loading": told_of_loading(loading), **procedure.record}
    with open_run(out, configuration, versions()) as folder:
        _resume(folder, chosen.retry_errors)
        with _progress() as progress:
            tally = execute(
                read,
                folder,
                partial(load_worker, procedure, model, loading),
                extent=chosen.extent,
                engine=engine,
                workers=chosen.workers,
                progress=progress,
                watch=Watch(options.warn, procedure.prompt),
            )
    return asked, tally


def told_of_loading(loading: LoadOptions) -> dict[str, Any]:
    """What was chosen about the model that may change results; what was not is the model's own."""
    return {name: value for name in TOLD_OF_LOADING if (value := getattr(loading, name)) not in (None, False)}


def _engine(chosen: Choices, loading: LoadOptions, *, elsewhere: bool) -> tuple[Callable[..., Any], LoadOptions]:
    """The engine with its options, and how models are loaded there."""
    from wherelook.evaluation.run import ENGINES

    if chosen.engine not in ENGINES:
        raise unknown_name("engine", chosen.engine, tuple(ENGINES))
    engine, gpus = ENGINES[chosen.engine], chosen.gpus_per_worker
    if chosen.engine != "ray":
        if chosen.ray_address is not None or gpus is not None:
            raise InputError("--ray-address and --gpus-per-worker need --engine ray")
        return engine, loading
    if (elsewhere or loading.device == "cpu") and gpus is None:
        gpus = 0.0
    if loading.device is None and (gpus or 0) > 1 and not elsewhere:
        loading = replace(loading, device="auto")
    return partial(engine, address=chosen.ray_address, gpus_per_worker=gpus), loading


def _reader(dataset: str, out: Path, chosen: Choices) -> Callable[[], Iterator[Sample]]:
    """What reads the samples; what is wrong with them or the folder to write to is found before a model is loaded."""
    from wherelook.data.datasets import DRAWN, read_samples

    first = read_samples(dataset)
    options.make_folder(out)
    if chosen.limit is None and chosen.answers is None and dataset in DRAWN:
        raise InputError(
            f"{dataset!r} is drawn as needed and has no end: say how many samples with --limit, or how many --answers"
        )
    return _once(first, lambda: read_samples(dataset))


def _once(first: Iterator[Sample], read: Callable[[], Iterator[Sample]]) -> Callable[[], Iterator[Sample]]:
    """`read`, that gives `first` at the first time."""
    given = iter([first])
    return lambda: next(given, None) or read()


def _show(table: pyarrow.Table, tally: Tally, out: Path, as_json: bool) -> None:
    """Prints the summary of a run.

    Raises:
        WherelookError: nothing worked.
    """
    from wherelook.report.table import from_rows

    summary = _summary(table)
    if as_json:
        options.print_json({"folder": str(out), "samples": tally.done, "samples_now": tally.now, "runs": summary})
    else:
        options.print_table(from_rows("runs", summary))
        typer.echo(f"{options.counted(tally.done, 'sample')} done ({tally.now} new), in {out}")
    _report_failures(table, out)


def _resume(folder: RunFolder, retry_errors: bool) -> None:
    """Says what became of the folder's files, and what is done again."""
    for note in folder.notes:
        options.warn(note)
    if retry_errors and (count := folder.retry_errors()):
        typer.echo(f"retry      {options.counted(count, 'failed sample')}", err=True)


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


def _summary(table: pyarrow.Table) -> list[dict[str, Any]]:
    """For every run how many rows there are of each status, and means over the rows that have them."""
    from wherelook.evaluation.rows import WRONG
    from wherelook.score import Status

    found = []
    rows = table.to_pylist()
    statuses = (*get_args(Status), *({WRONG} & {row["status"] for row in rows}), "error")
    for run_name in dict.fromkeys(row["run"] for row in rows):
        own = [row for row in rows if row["run"] == run_name]
        line: dict[str, Any] = {"run": run_name, "rows": len(own)}
        line |= {status: sum(row["status"] == status for row in own) for status in statuses}
        for name in SUMMARIZED[2:]:
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
            bar.update(task, description=tally.stage, completed=tally.at, total=tally.of, rate=rate)

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
