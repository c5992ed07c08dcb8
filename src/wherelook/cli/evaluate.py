"""`wherelook evaluate`: many methods on many answers, one table."""

from __future__ import annotations

import itertools
import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wherelook.cli import options
from wherelook.cli.configured import configured
from wherelook.cli.loading import AS_IT_IS, check_loading, open_model
from wherelook.errors import InputError, WherelookError
from wherelook.models import LoadOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wherelook.analysis.method_table import RunSummary
    from wherelook.data.datasets import Sample
    from wherelook.evaluation.method_spec import MethodSpec
    from wherelook.evaluation.rows import Row
    from wherelook.models import AnyModel
    from wherelook.score import Progress
    from wherelook.storage import LineFile

ROWS_FILE = "rows.jsonl"
CONFIGURATION_FILE = "evaluation.json"
PAGE_FILE, TABLE_FILE, RECORDS_FILE = "report.html", "table.md", "rows.parquet"
GALLERY = 12
SCHEMA_VERSION = 3
"""Of the rows: a folder with older ones is not gone on with."""
NEW_FOLDER = "NEW_FOLDER"
DEFAULT_METHODS = "igos+,igos+:fast,integrated-gradients,occlusion,rise,greedy-window,random,center,edges"


@configured
def evaluate(
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="scenes or things (drawn, never used for choosing anything), NAME:PATH (see `wherelook "
            "datasets`), a folder of `wherelook scenes`, or a table with image and question (and answer, mask, "
            "paraphrase if known).",
        ),
    ] = "scenes",
    methods: Annotated[
        str,
        typer.Option("--methods", help="Comma-separated, method or method:preset, see `wherelook methods`."),
    ] = DEFAULT_METHODS,
    n: Annotated[int, typer.Option("--n", min=1, help="Answers to explain.")] = 50,
    prompt: options.Prompt = "auto",
    judge: options.Judge = "auto",
    wrong: Annotated[bool, typer.Option("--wrong", help="Explain wrong answers too.")] = False,
    stability: Annotated[
        int,
        typer.Option(
            "--stability",
            min=0,
            help="On so many answers, also compare maps of another seed, a noisy image, and a paraphrased question.",
        ),
    ] = 0,
    replay_steps: Annotated[
        int | None,
        typer.Option(
            "--replay-steps", min=2, max=784, help="Points of the deletion and insertion curves. [default: 50]"
        ),
    ] = None,
    lend: Annotated[
        bool,
        typer.Option(
            "--lend",
            help="Where no word rests on what blur, mean color and strong blur remove, try the dataset's next other "
            "image as the baseline.",
        ),
    ] = False,
    sanity: Annotated[
        int,
        typer.Option(
            "--sanity",
            min=0,
            help="On so many answers (0: none, or 2 and more), also check as `wherelook sanity` does, for a verdict in "
            "the table.",
        ),
    ] = 0,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Output directory; resumed if it exists.")] = Path(
        "wherelook-evaluation"
    ),
    figures: options.Figures = None,
    model: options.ModelOrAddress = "embedded",
    loading: LoadOptions = AS_IT_IS,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Explains the same answers by several methods: every measure with its interval and test, cost, pictures.

    Rows are written as they come; the same command resumes where it was interrupted, adds methods that are new and
    tries samples again that failed.
    """
    from wherelook.analysis import method_table
    from wherelook.data.datasets import read_samples
    from wherelook.evaluation.evaluate import evaluate as evaluate_rows
    from wherelook.evaluation.evaluate import read_rows
    from wherelook.evaluation.judges import check_judging
    from wherelook.evaluation.method_spec import parse_methods
    from wherelook.evaluation.records import storable
    from wherelook.evaluation.sanity_files import VERDICTS_FILE, conditions, read_verdicts
    from wherelook.explanation.command_line import chat_words
    from wherelook.metrics.deletion_insertion import STEPS
    from wherelook.report import methods_page
    from wherelook.storage import LineFile

    if sanity == 1:
        raise InputError("--sanity is 0 (no check) or at least 2 answers, which lend each other image and question")
    runs = parse_methods(methods)
    check_judging(judge, prompt)
    samples = read_samples(dataset)  # what is wrong with it is found before a model is loaded
    _refuse_strangers(out, figures)
    loaded, name = _open(model, loading, runs, out, check=sanity > 0)
    about = conditions(
        loaded,
        name,
        dataset,
        prompt=prompt,
        judge=judge,
        wrong=wrong,
        lend=lend,
        prompt_template=loading.prompt_template,
        seed=seed,
    )
    replay_steps = STEPS if replay_steps is None else replay_steps
    _keep_apart(
        out / CONFIGURATION_FILE,
        {"schema_version": SCHEMA_VERSION} | about | {"replay_steps": replay_steps, "max_pixels": loading.max_pixels},
    )
    rows = read_rows(lines := LineFile(out / ROWS_FILE))
    read_verdicts(out / VERDICTS_FILE, about, runs)  # what is wrong with it is found before the work
    make = partial(
        evaluate_rows,
        loaded,
        options.announce_samples(loaded, samples, runs),
        runs,
        count=n,
        only_right=not wrong,
        prompt=prompt,
        judge=judge,
        stability=stability,
        lend=lend,
        replay_steps=replay_steps,
        seed=seed,
        done={(row["sample"], row["run"]): row["fingerprint"] for row in rows},
        warn=(warn := options.warn_once()),
    )
    failure = _add(rows, make, lines)

    names = [run.name for run in runs]
    answers = {row["sample"]: row["answer"] for row in rows if row["status"] == "ok"}

    def explained(count: int) -> Iterable[Sample]:
        """The first samples with a map. The scenes go on and on: it stops when all are found."""
        found = (sample for sample in read_samples(dataset) if storable(sample.id) in answers)
        return itertools.islice(found, min(count, len(answers)))

    try:
        if sanity:
            with options.progress_bar() as progress:
                # All that have a map: where another image was lent there is nothing to check, and the next one counts.
                count = min(sanity, len(answers))
                _check(loaded, explained(len(answers)), count, runs, out / VERDICTS_FILE, about, progress, warn)
    except WherelookError as error:  # of the check alone: the rest is still shown
        failure = failure or error
    verdicts = {run: row["verdict"] for run, row in read_verdicts(out / VERDICTS_FILE, about, runs).items()}
    summaries = method_table.summarize(rows, names, verdicts)
    page = methods_page.render(
        rows,
        names,
        title=f"{name} on {dataset}",
        command=_command(
            {
                "--model": model,
                "--model-name": loading.model_name,
                "--revision": loading.revision,
                "--dtype": loading.dtype,
                "--quantize": loading.quantize,
                "--trust-remote-code": loading.trust_remote_code,
                "--attn-implementation": loading.attn_implementation,
                "--prompt-template": loading.prompt_template,
                **chat_words(vars(loading)),
                "--max-pixels": loading.max_pixels,
                "--dataset": dataset,
                "--methods": methods,
                "--n": n,
                "--prompt": prompt,
                "--judge": judge,
                "--wrong": wrong,
                "--stability": stability or None,
                "--replay-steps": replay_steps,
                "--lend": lend,
                "--sanity": sanity or None,
                "--seed": seed,
                "--out": NEW_FOLDER,
            }
        ),
        gallery=[
            (storable(sample.id), sample.question, answers[storable(sample.id)], sample.image.pixels)
            for sample in explained(GALLERY)
        ],
        summaries=summaries,
    )
    _finish(out, page, rows, summaries, as_json, figures)
    if failure is not None:
        raise failure


def _finish(
    out: Path,
    page: str,
    rows: list[Row],
    summaries: Sequence[RunSummary],
    as_json: bool,
    figures: Path | None = None,
) -> None:
    """Writes page, table, rows and figures, and prints the table.

    Raises:
        WherelookError: every method failed on every answer.
    """
    from wherelook.analysis import method_table
    from wherelook.evaluation.failures import commonest_error
    from wherelook.evaluation.records import write_records
    from wherelook.report import method_tables
    from wherelook.report.files import write_methods
    from wherelook.storage import write_whole

    for file, text in ((PAGE_FILE, page), (TABLE_FILE, method_tables.to_markdown(summaries))):
        write_whole(out / file, text.encode("utf-8", "backslashreplace"))
    write_records(out / RECORDS_FILE, rows)
    if figures is not None:
        write_methods(summaries, figures)
    if as_json:
        options.print_json(method_table.to_records(summaries))
    else:
        typer.echo(method_tables.to_text(summaries, options.terminal_width()))
        typer.echo(f"report     {out / PAGE_FILE}")
    tried = [row for row in rows if row["run"] in {line.run for line in summaries}]
    if tried and all(row["status"] == "error" for row in tried):
        error, count = commonest_error(row["error"] for row in tried) or ("", 0)
        rows_tried = options.counted(len(tried), "row")
        raise WherelookError(f"no method made a map in {out}; the commonest error ({count} of {rows_tried}): {error}")


def _open(
    model: str, loading: LoadOptions, runs: Sequence[MethodSpec], out: Path, *, check: bool
) -> tuple[AnyModel, str]:
    """The model, after its folder for results was made and taken, and what to call it.

    Args:
        loading: its options.
        check: whether its weights are to be shuffled.
    """
    from wherelook.evaluation.rows import called

    elsewhere = check_loading(model, loading, [run.method for run in runs])
    if elsewhere and check:
        raise InputError("--sanity shuffles weights, and those of an endpoint are out of reach: leave it out")
    options.take_folder(out)
    opened = open_model(model, loading)
    return opened, called(opened.description) if elsewhere else model


def _add(rows: list[Row], make: Callable[..., Iterable[Row]], lines: LineFile) -> WherelookError | None:
    """Adds rows to the list and to the file as they are made; returns what ended the search for right answers."""
    from wherelook.evaluation.search import HardlyRightError

    with options.progress_bar() as progress:
        try:
            for row in make(progress=progress):
                lines.add(row)
                rows.append(row)
        except HardlyRightError as error:
            return error
    return None


def _check(
    model: AnyModel,
    samples: Iterable[Sample],
    count: int,
    runs: Sequence[MethodSpec],
    path: Path,
    about: dict[str, Any],
    progress: Progress | None,
    warn: Callable[[str], None],
) -> None:
    """Adds verdicts to the file on those of the runs that were not to be checked on so many answers yet."""
    from wherelook.evaluation.sanity import check_sanity, to_rows
    from wherelook.evaluation.sanity_files import CHECKS_FILE, make_checks, read_verdicts, write_verdicts
    from wherelook.models import VisionLanguageModel

    assert isinstance(model, VisionLanguageModel)  # see `_open`
    known = read_verdicts(path, about, runs)
    missing = [run for run in runs if run.name not in known or known[run.name]["asked"] < count]
    if missing:
        checks = make_checks(
            path.with_name(CHECKS_FILE),
            about,
            missing,
            lambda found: check_sanity(
                model,
                samples,
                missing,
                count=count,
                prompt=about["prompt"],
                judge=about["judge"],
                seed=about["seed"],
                known=found,
                progress=progress,
                warn=warn,
            ),
        )
        write_verdicts(path, about, to_rows(checks, missing, asked=count))


def _command(values: Mapping[str, Any]) -> str:
    """The command line with these options: True is a flag, None and False are left out, a list comes item by item."""
    from wherelook.explanation.command_line import shell_quote

    words = ["wherelook", "evaluate"]
    for name, value in values.items():
        if value is True:
            words.append(name)
        elif isinstance(value, list):
            words += [word for one in value for word in (name, one)]
        elif value is not None and value is not False:
            words += [name, str(value)]
    return " ".join(shell_quote(word) for word in words)


def _keep_apart(path: Path, configuration: Mapping[str, Any]) -> None:
    """Notes what the rows of a folder are about; refuses to mix them with others.

    Raises:
        InputError: the folder holds an evaluation of something else.
    """
    from wherelook.evaluation.run_folder import differences
    from wherelook.storage import read_text, write_whole

    text = read_text(path)
    if text is not None:
        try:
            before = dict(json.loads(text))
        except (ValueError, TypeError, RecursionError):
            raise InputError(f"{str(path)!r} is broken: name a new folder") from None
        for change in differences(before, dict(configuration)):
            raise InputError(f"{path.parent} holds an evaluation with other settings: {change}; name a new folder")
        return
    write_whole(path, (json.dumps(configuration, indent=2) + "\n").encode())


def _refuse_strangers(out: Path, figures: Path | None) -> None:
    """Raises InputError where a folder without an evaluation has files of the names that one writes."""
    from wherelook.report.files import METHODS

    if not (out / CONFIGURATION_FILE).exists():
        for name in (ROWS_FILE, PAGE_FILE, TABLE_FILE, RECORDS_FILE):
            if os.path.lexists(out / name):
                raise InputError(f"{out / name} is there and belongs to no evaluation: name another folder")
    if figures is not None:
        METHODS.check(options.make_folder(figures, option="--figures"))
