"""`wherelook evaluate`: many methods on many answers, one table."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from wherelook.cli import options
from wherelook.types import InputError

ROWS_FILE = "rows.jsonl"
CONFIGURATION_FILE = "evaluation.json"
GALLERY = 12
DEFAULT_METHODS = "igos+,igos+:fast,integrated-gradients,occlusion,rise,greedy-window,random,center,edges"


def evaluate(
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="scenes (drawn, never used for choosing anything), scenes-tuning, a folder of `wherelook scenes`, "
            "or a .jsonl file with image and question on every line (and answer, mask, paraphrase if known).",
        ),
    ] = "scenes",
    methods: Annotated[
        str,
        typer.Option("--methods", help="Comma-separated, method or method:preset, see `wherelook methods`."),
    ] = DEFAULT_METHODS,
    n: Annotated[int, typer.Option("--n", min=1, help="Answers to explain.")] = 50,
    wrong: Annotated[bool, typer.Option("--wrong", help="Explain wrong answers too.")] = False,
    stability: Annotated[
        int,
        typer.Option(
            "--stability",
            min=0,
            help="On so many answers, also compare maps of another seed, a noisy image, and a paraphrased question.",
        ),
    ] = 0,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where table, page and rows go.")] = Path(
        "wherelook-evaluation"
    ),
    model: options.Model = "embedded",
    device: options.Device = None,
    dtype: options.Dtype = None,
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    prompt_template: options.PromptTemplate = None,
    batch_size: options.BatchSize = 16,
    memory_limit: options.MemoryLimit = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Explains the same answers by several methods: every measure with its interval and test, cost, pictures.

    Rows are written as they come; the same command goes on where it was interrupted, and adds methods that are new.
    """
    from wherelook.data.samples import read_samples
    from wherelook.evaluate import evaluate as evaluate_rows
    from wherelook.evaluate import parse_runs, read_rows
    from wherelook.report import evaluation, summary

    runs = parse_runs(methods)
    samples = read_samples(dataset)
    options.make_folder(out)
    _keep_apart(out / CONFIGURATION_FILE, model=model, revision=revision, dataset=dataset, wrong=wrong, seed=seed)
    rows = read_rows(out / ROWS_FILE)
    explainer = options.load_explainer(
        model,
        device=device,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
        batch_size=batch_size,
        memory_limit=memory_limit,
        prompt_template=prompt_template,
    )
    with options.progress_bar() as progress, (out / ROWS_FILE).open("a", encoding="utf-8") as lines:
        for row in evaluate_rows(
            explainer.model,
            samples,
            runs,
            count=n,
            only_right=not wrong,
            stability=stability,
            seed=seed,
            done=frozenset((row["sample"], row["run"]) for row in rows),
            progress=progress,
        ):
            lines.write(json.dumps(row) + "\n")
            lines.flush()
            rows.append(row)

    names = [run.name for run in runs]
    summaries = summary.summarize(rows, names)
    answers = {row["sample"]: row["answer"] for row in rows if row["status"] == "ok"}
    wanted = min(GALLERY, len(answers))  # the scenes go on and on: stop when all are found
    shown = itertools.islice((sample for sample in read_samples(dataset) if sample.id in answers), wanted)
    page = evaluation.render(
        rows,
        names,
        title=f"{model} on {dataset}",
        command=shlex.join(["wherelook", "evaluate", "--model", model, "--dataset", dataset, "--methods", methods]),
        gallery=[(sample.id, sample.question, answers[sample.id], sample.image.pixels) for sample in shown],
        summaries=summaries,
    )
    (out / "report.html").write_text(page, encoding="utf-8")
    (out / "table.md").write_text(summary.to_markdown(summaries), encoding="utf-8")
    evaluation.write_table(out / "rows.parquet", rows)
    if as_json:
        options.print_json(summary.to_records(summaries))
    else:
        typer.echo(summary.to_markdown(summaries))
        typer.echo(f"report     {out / 'report.html'}")


def _keep_apart(path: Path, **configuration: Any) -> None:
    """Notes what the rows of a folder are about; refuses to mix them with others.

    Raises:
        InputError: the folder holds an evaluation of something else.
    """
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            before = None
        if before != configuration:
            raise InputError(f"{path.parent} holds an evaluation with other settings ({path.name}): name a new folder")
    path.write_text(json.dumps(configuration, indent=2) + "\n", encoding="utf-8")
