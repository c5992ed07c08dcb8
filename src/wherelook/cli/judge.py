"""`wherelook judge`: verdicts on the answers of a run by a model or by people, and how far they agree with its rule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wherelook.cli import options
from wherelook.cli.configured import configured
from wherelook.cli.loading import AS_IT_IS
from wherelook.errors import InputError
from wherelook.load_options import LoadOptions

if TYPE_CHECKING:
    from wherelook.evaluation.rows import Row
    from wherelook.evaluation.verdicts import Verdict
    from wherelook.models.endpoint.client import Client

VERDICTS_FILE = "verdicts.jsonl"
REPLIES_FILE = "judge-replies.jsonl"

COLUMNS = (
    *("sample", "group", "question", "choices", "references", "status", "answer", "correct", "judge"),
    *("blind_answer", "blind_correct"),
)


@configured
def judge(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    verdicts: Annotated[
        Path | None,
        typer.Option("--verdicts", metavar="FILE", help="A table with the columns sample and verdict, by people."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="URL",
            help="OpenAI-compatible endpoint of a model that judges: http://localhost:8000/v1.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help=f"Where its verdicts go. [default: {VERDICTS_FILE} in the run]"),
    ] = None,
    loading: Annotated[LoadOptions, ("model_name", "concurrency", "timeout", "use_proxy")] = AS_IT_IS,
    as_json: options.Json = False,
) -> None:
    """Judges the answers of a run again: by a model (--model, --model-name) or from a file (--verdicts).

    The records stay as they are. The key of an endpoint comes from WHERELOOK_API_KEY or OPENAI_API_KEY. Replies are
    kept in the run's folder, and no answer is sent twice. See docs/judges.md.
    """
    from wherelook.evaluation.run_folder import read_run
    from wherelook.evaluation.verdicts import apply_verdicts, check_place, read_verdicts, write_verdicts
    from wherelook.models.endpoint.address import is_address
    from wherelook.models.endpoint.client import Client
    from wherelook.report.table import from_rows

    if (verdicts is None) == (model is None):
        raise InputError("expected either --model with the address of an endpoint, or --verdicts with a file")
    rows = _one_per_sample(read_run(folder, COLUMNS)[1].to_pylist())
    if verdicts is not None and out is not None:
        raise InputError("--out is where a model's verdicts go; those of --verdicts are in a file already")
    if verdicts is not None:
        path, found = verdicts, read_verdicts(verdicts)
    else:
        if model is None or not is_address(model) or not loading.model_name:
            raise InputError(
                "--model is the address of an endpoint, such as http://localhost:8000/v1, and needs --model-name"
            )
        path = out or folder / VERDICTS_FILE
        check_place(path, loading.model_name)
        client = Client(model, timeout=loading.timeout, use_proxy=loading.use_proxy)
        found = _ask(rows, client, loading.model_name, folder / REPLIES_FILE, concurrency=loading.concurrency)
        write_verdicts(path, found)
    table = _compare(rows, apply_verdicts(rows, found))
    if as_json:
        from wherelook.evaluation.model_judge import INSTRUCTIONS

        options.print_json({"verdicts": str(path), "judges": table} | ({"prompt": INSTRUCTIONS} if model else {}))
        return
    options.print_table(from_rows("judges", table))
    typer.echo(f"verdicts: {path}")


def _ask(
    rows: list[Row], client: Client, name: str, replies: Path, *, concurrency: int
) -> dict[tuple[str, str | None], Verdict]:
    from wherelook.evaluation.model_judge import ModelJudge, questions_of

    judge = ModelJudge(client, name, cache=replies, concurrency=concurrency)
    questions = questions_of(rows)
    with options.progress_bar() as progress:
        verdicts = judge(questions, progress=progress)
    return {(question.sample, question.answer): verdict for question, verdict in zip(questions, verdicts, strict=True)}


def _one_per_sample(rows: list[Row]) -> list[Row]:
    """All methods of a sample share its answer."""
    return list({row["sample"]: row for row in reversed(rows)}.values())[::-1]


def _compare(before: list[Row], after: list[Row]) -> list[dict[str, Any]]:
    """A line for the run's own judge, and one for the new one with their agreement."""
    from wherelook.evaluation.judges import group_verdicts
    from wherelook.evaluation.verdicts import agreement

    lines: list[dict[str, Any]] = []
    for rows in (before, after):
        verdicts = [row["correct"] for row in rows]
        groups = list(group_verdicts(rows).values())
        lines.append(
            {
                "judge": ", ".join(sorted({row["judge"] for row in rows if row["judge"]})) or None,
                "answers": sum(row["answer"] is not None for row in rows),
                "judged": sum(verdict is not None for verdict in verdicts),
                "right": verdicts.count(True),
                "groups": len(groups),
                "groups_right": groups.count(True),
                "agree": None,
                "kappa": None,
                "kappa_low": None,
                "kappa_high": None,
            }
        )
    both = agreement([row["correct"] for row in before], [row["correct"] for row in after])
    if both.answers:
        lines[1]["agree"] = round((both.both_right + both.both_wrong) / both.answers, 4)
    if both.kappa is not None:
        kappa = both.kappa
        lines[1] |= {
            "kappa": round(kappa.value, 4),
            "kappa_low": round(kappa.low, 4),
            "kappa_high": round(kappa.high, 4),
        }
    return lines
