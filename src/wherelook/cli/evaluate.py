"""`wherelook evaluate`, `sanity` and `sweep`: runs with other defaults, and a table of their methods."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from wherelook.cli import options
from wherelook.cli.configured import configured
from wherelook.cli.loading import AS_IT_IS
from wherelook.cli.run import DEFAULT, Choices, Dataset, Out, carry_out, told_of_loading
from wherelook.errors import InputError, WherelookError
from wherelook.load_options import LoadOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherelook.analysis.method_table import RunSummary
    from wherelook.analysis.sanity import Correlations
    from wherelook.evaluation.rows import Row
    from wherelook.report.methods_page import GallerySample
    from wherelook.report.table import Table

PAGE_FILE, TABLE_FILE = "report.html", "table.md"
GALLERY = 12
NEW_FOLDER = "NEW_FOLDER"
DEFAULT_METHODS = "guided-igos,guided-igos:fast,integrated-gradients,occlusion,rise,greedy-window,random,center,edges"

EVALUATE = replace(DEFAULT, method=(DEFAULT_METHODS,), answers=50, right_only=True, metric=("all",), retry_errors=True)
SANITY = replace(EVALUATE, method=("guided-igos,random,center,edges",), answers=None, sanity=10, metric=("map",))
SWEEP = replace(EVALUATE, method=("guided-igos",), answers=20)

UNTOLD = {"engine", "workers", "ray_address", "gpus_per_worker", "retry_errors"}
"""Choices that make no difference to a page."""


@configured
def evaluate(
    dataset: Dataset = "scenes",
    out: Out = Path("wherelook-evaluation"),
    chosen: Choices = EVALUATE,
    model: options.ModelOrAddress = None,
    loading: LoadOptions = AS_IT_IS,
    as_json: options.Json = False,
    figures: options.Figures = None,
) -> None:
    """Explains the same answers by several methods: every measure with its interval and test, cost, pictures.

    A run (`wherelook run`) of right answers with all metrics; its table and page are written beside its records. The
    same command resumes it, adds methods and answers, and tries samples again that failed.
    """
    from wherelook.report import method_tables, methods_page
    from wherelook.report.files import write_methods
    from wherelook.storage import write_whole

    _refuse_strangers(out, figures)
    called, tally = carry_out(dataset, out, chosen, model, loading)
    rows, found = _rows(out, chosen)
    names = [one.name for one in chosen.methods]
    summaries = _summaries(rows, names, found)
    page = methods_page.render(
        rows,
        names,
        title=f"{called} on {dataset}",
        command=_command(["evaluate", dataset, "--model", options.model_of(model, dataset)], chosen, loading),
        gallery=_gallery(dataset, rows),
        summaries=summaries,
    )
    for file, text in ((PAGE_FILE, page), (TABLE_FILE, method_tables.to_markdown(summaries))):
        write_whole(out / file, text.encode("utf-8", "backslashreplace"))
    if figures is not None:
        write_methods(summaries, figures)
    _print(summaries, as_json)
    if not as_json:
        typer.echo(f"report     {out / PAGE_FILE}")
    _refuse_failure(rows, names, out)
    if tally.failure is not None:
        raise tally.failure


@configured
def sanity(
    dataset: Dataset = "scenes",
    out: Out = Path("wherelook-sanity"),
    chosen: Choices = SANITY,
    model: options.ModelOrAddress = None,
    loading: LoadOptions = AS_IT_IS,
    as_json: options.Json = False,
) -> None:
    """Shuffles weights in stages, swaps the image and the question: rank correlation of the maps before and after.

    A method whose maps keep a mean correlation above 0.3 after all weights were shuffled fails: it does not explain the
    model. "no map" is a good answer too: nothing was left to explain. A run (`wherelook run --sanity`): the same
    command resumes it, and `wherelook evaluate` shows the verdicts of its own.
    """
    from wherelook.analysis.sanity import check
    from wherelook.evaluation.conditions import SANITY as STAGES

    if not chosen.sanity:
        raise InputError("sanity checks need at least 2 answers: --sanity N")
    if chosen.answers is None:
        chosen = replace(chosen, answers=chosen.sanity)
    _, tally = carry_out(dataset, out, chosen, model, loading)
    _, found = _rows(out, chosen)
    lines = [check(found, one.name) for one in chosen.methods]
    if tally.failure is not None and not any(line["answers"] for line in lines):
        raise tally.failure
    if as_json:
        options.print_json(lines)
        return
    options.print_table(_table(lines, STAGES))


def _table(lines: Sequence[dict[str, Any]], stages: Sequence[str]) -> Table:
    """A row for every method, a column for every stage."""
    from wherelook.report.formatting import words
    from wherelook.report.table import Column, Table

    columns = (
        Column("method", "Method"),
        Column("verdict", "Verdict"),
        *(Column(name, words(name), "number") for name in stages),
    )
    caption = "Mean rank correlation with the map before the change, 95 % interval, answers left without a map."
    shown = tuple({**line, **{stage: _value(line[stage]) for stage in stages}} for line in lines)
    return Table("sanity", caption, columns, shown)


@configured
def sweep(
    dataset: Dataset = "scenes-tuning",
    out: Out = Path("wherelook-sweep"),
    chosen: Choices = SWEEP,
    model: options.ModelOrAddress = None,
    loading: LoadOptions = AS_IT_IS,
    as_json: options.Json = False,
) -> None:
    """Changes one setting of a method at a time: metrics and cost. For choosing settings, not for reporting.

    A run (`wherelook run --set`) of right answers with all metrics; the same command resumes it.
    """
    from wherelook.evaluation.failures import commonest_error

    if not chosen.values:
        raise InputError("a sweep needs a setting and its values: --set KEY=V1,V2, for example --set iterations=3,8")
    _, tally = carry_out(dataset, out, chosen, model, loading)
    if tally.failure is not None:
        raise tally.failure
    rows, found = _rows(out, chosen)
    if not any(row["status"] == "ok" for row in rows):
        error = commonest_error(row["error"] for row in rows if row["status"] == "error")
        why = f"; the commonest error ({error[1]} of {len(rows)} rows): {error[0]}" if error else ""
        raise WherelookError(f"no answer of {dataset!r} got a map: take other data, or another model{why}")
    summaries = _summaries(rows, [one.name for one in chosen.methods], found)
    _print(summaries, as_json)


def _rows(out: Path, chosen: Choices) -> tuple[list[Row], Correlations]:
    """The plain rows of the methods that were asked for, on as many answers; and how far maps move under conditions."""
    from wherelook.analysis.method_table import untried
    from wherelook.analysis.sanity import correlations, with_stability
    from wherelook.evaluation.records import SCHEMA
    from wherelook.evaluation.run_folder import read_run

    names = {one.name for one in chosen.methods}
    columns = [name for name in SCHEMA.names if name != "tokens"]
    rows = [row for row in read_run(out, columns, conditions=True, metrics=True)[1].to_pylist() if row["run"] in names]
    answered = sorted({row["position"] for row in rows if not untried(row)})
    if chosen.answers is not None and len(answered) > chosen.answers:
        last = answered[chosen.answers - 1]
        plain = [row for row in rows if row["position"] <= last]
    else:
        plain = rows
    found = correlations(rows)
    return with_stability(plain, found), found


def _summaries(rows: Sequence[Row], names: Sequence[str], found: Correlations) -> list[RunSummary]:
    from wherelook.analysis.method_table import summarize
    from wherelook.analysis.sanity import check

    return summarize(rows, names, {name: check(found, name)["verdict"] for name in names})


def _print(summaries: Sequence[RunSummary], as_json: bool) -> None:
    from wherelook.analysis import method_table
    from wherelook.report import method_tables

    if as_json:
        options.print_json(method_table.to_records(summaries))
    else:
        typer.echo(method_tables.to_text(summaries, options.terminal_width()))


def _refuse_failure(rows: Sequence[Row], names: Sequence[str], out: Path) -> None:
    """Raises WherelookError where every method failed on every answer."""
    from wherelook.analysis.method_table import untried
    from wherelook.evaluation.failures import commonest_error

    tried = [row for row in rows if row["run"] in names and not untried(row)]
    if tried and all(row["status"] == "error" for row in tried):
        error, count = commonest_error(row["error"] for row in tried) or ("", 0)
        rows_tried = options.counted(len(tried), "row")
        raise WherelookError(f"no method made a map in {out}; the commonest error ({count} of {rows_tried}): {error}")


def _gallery(dataset: str, rows: Sequence[Row]) -> Iterator[GallerySample]:
    """The first samples with a map. The scenes go on and on: it stops when all are found."""
    from wherelook.data.datasets import read_samples
    from wherelook.evaluation.records import storable

    answers = {row["position"]: row["answer"] for row in rows if row["status"] == "ok"}
    count = min(GALLERY, len(answers))
    found = (pair for pair in enumerate(read_samples(dataset)) if pair[0] in answers)
    for position, sample in itertools.islice(found, count):
        yield storable(sample.id), sample.question, answers[position], sample.image.pixels


def _command(start: Sequence[str], chosen: Choices, loading: LoadOptions) -> str:
    """The command line that makes the page again."""
    from wherelook.chat_options import ChatOptions
    from wherelook.explanation.command_line import chat_words, shell_quote

    chat = {one.name for one in fields(ChatOptions)}
    told = {name: value for name, value in told_of_loading(loading).items() if name not in chat}
    values: dict[str, Any] = {f"--{name.replace('_', '-')}": value for name, value in told.items()}
    values |= chat_words(vars(loading))
    for one in fields(Choices):
        if one.name not in UNTOLD:
            value = getattr(chosen, one.name)
            yes, _, no = (one.metadata["option"].flag or f"--{one.name.replace('_', '-')}").partition("/")
            if isinstance(value, Mapping):
                value = [f"{key}={texts}" for key, texts in value.items()]
            values[no if no and not value else yes] = True if no else value
    words = ["wherelook", *start]
    for name, value in [*values.items(), ("--out", NEW_FOLDER)]:
        if value is True:
            words.append(name)
        elif isinstance(value, list | tuple):
            words += [word for item in value for word in (name, item)]
        elif value is not None and value is not False:
            words += [name, str(value)]
    return " ".join(shell_quote(word) for word in words)


def _refuse_strangers(out: Path, figures: Path | None) -> None:
    """Raises InputError where a page or a table would be written over a file that belongs to no run."""
    from wherelook.evaluation.run_folder import RUN_FILE
    from wherelook.report.files import METHODS

    if figures is not None:
        METHODS.check(options.make_folder(figures, option="--figures"))
    if (out / RUN_FILE).exists():
        options.check_page(out / PAGE_FILE)
        return
    for name in (PAGE_FILE, TABLE_FILE):
        if os.path.lexists(out / name):
            raise InputError(f"{out / name} is there and belongs to no run: name another folder")


def _value(stage: dict[str, Any]) -> Any:
    """The mean correlation of a stage, with how many answers have no map after it."""
    from wherelook.report.table import Marked
    from wherelook.stats import Estimate

    if not stage["checked"]:
        return Marked(None, note="not checked")
    if stage["mean"] is None:
        return Marked(None, note="no map")
    value = Estimate(name="rank correlation", value=stage["mean"], low=stage["low"], high=stage["high"], method="")
    return Marked(value, note=f"{stage['no_map']} no map" if stage["no_map"] else "")
