"""Verdicts from outside a run: a file that people, or a model that judges, filled in; and how far they agree with it.

A file of verdicts is a table with the columns sample and verdict; optional are answer (the verdict is then for this
answer alone, so that one file can serve the runs of several models) and judge (who says so).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherelook.data.files import Folder
from wherelook.data.tables import TABLES, read_rows
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.rows import Row
from wherelook.stats import Estimate, cohens_kappa
from wherelook.storage import write_whole

PEOPLE = "human"
"""Who judged where a file does not say."""

WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("correct", "right", "true", "yes", "1"), True),
    **dict.fromkeys(("incorrect", "wrong", "false", "no", "0"), False),
    **dict.fromkeys(("", "unsure"), None),
}
"""How a verdict may be written, in any case; None: the judge could not tell."""


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, None where the judge could not tell; and who says so."""

    correct: bool | None
    judge: str


JUDGED_BY = ("sample", "answer", "blind_answer", "correct", "judge", "blind_correct")
"""Columns that a row needs to be judged again."""

Verdicts = Mapping[tuple[str, str | None], Verdict]
"""By sample and answer; the answer is None where the verdict is for whatever was answered."""


@dataclass(frozen=True)
class Agreement:
    """Of two judges on the answers that both could judge.

    Attributes:
        answers: that both judged.
        both_right, both_wrong: on which they agree.
        only_first, only_second: that only one of them finds right.
        kappa: Cohen's; None for fewer than two answers, or where a judge says the same of all.
    """

    answers: int
    both_right: int
    both_wrong: int
    only_first: int
    only_second: int
    kappa: Estimate | None


def read_verdicts(path: Path) -> dict[tuple[str, str | None], Verdict]:
    """The verdicts of a file.

    Raises:
        InputError: there is no such file, or it is not a table.
        WherelookError: a line is broken, a verdict is none, or two verdicts on one answer differ.
    """
    if not path.is_file():
        raise InputError(f"no file of verdicts at {path}; expected a table ({', '.join(TABLES)}) of sample and verdict")
    found: dict[tuple[str, str | None], Verdict] = {}
    for row in read_rows(Folder(path.parent), path.name):
        value = row.values.get("verdict")
        word = "" if value is None else str(value).strip().casefold()
        if "verdict" not in row.values or word not in WORDS:
            raise WherelookError(f"{row.place}: the verdict must be one of {', '.join(filter(None, WORDS))}, or empty")
        key = (row.required_name("sample"), row.name("answer"))
        verdict = Verdict(WORDS[word], row.name("judge") or PEOPLE)
        if found.setdefault(key, verdict) != verdict:
            raise WherelookError(
                f"{row.place}: sample {key[0]!r} has another verdict before; expected one for an answer"
            )
    return found


def write_verdicts(path: Path, verdicts: Verdicts) -> None:
    """Writes a file that `read_verdicts` reads: JSON lines.

    Raises:
        WherelookError: the disk refuses.
    """
    words = {True: "correct", False: "incorrect", None: "unsure"}
    lines = [
        {"sample": sample, "answer": answer, "verdict": words[verdict.correct], "judge": verdict.judge}
        for (sample, answer), verdict in verdicts.items()
    ]
    write_whole(path, "".join(json.dumps(line) + "\n" for line in lines).encode())


def check_place(path: Path, judge: str) -> None:
    """Refuses a file that holds something else than verdicts of this judge, such as people's: before the work.

    Raises:
        InputError: it does, there is no folder for it, or its name does not say that it holds JSON lines.
    """
    if path.suffix != ".jsonl":
        raise InputError(
            f"--out {str(path)!r}: verdicts are written as JSON lines; expected a name that ends in .jsonl"
        )
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {str(path.parent)!r} for the verdicts; expected one that is there")
    if not os.path.lexists(path):
        return
    try:
        others = {verdict.judge for verdict in read_verdicts(path).values()} - {judge}
    except WherelookError as error:
        raise InputError(f"{path} is there and holds no verdicts ({error}): name another file with --out") from error
    if others:
        raise InputError(f"{path} holds verdicts by {sorted(others)[0]!r}: name another file with --out")


def apply_verdicts(rows: Iterable[Row], verdicts: Verdicts) -> list[Row]:
    """The same rows with `correct` and `judge` by the verdicts; both are None where there is none for the answer.

    Judges are not mixed: what a rule said before is gone. `blind_correct` goes the same way, but by verdicts for this
    answer alone: one for whatever was answered is about the answer to the image.
    """
    judged = []
    for row in rows:
        sample, answer = row["sample"], row["answer"]
        said = None if answer is None else verdicts.get((sample, answer)) or verdicts.get((sample, None))
        blind = None if row["blind_answer"] is None else verdicts.get((sample, row["blind_answer"]))
        columns = {
            "correct": said and said.correct,
            "judge": said and said.judge,
            "blind_correct": blind and blind.correct,
        }
        judged.append(row | columns)
    return judged


def judge_run(rows: Iterable[Row], path: Path, run: str) -> list[Row]:
    """The rows of a run as the file at `path` judges them; see `apply_verdicts`.

    What the rule said is kept as `rule` (its name) and `rule_correct`, and the path as `verdicts`.

    Args:
        rows: with the columns `JUDGED_BY`.
        path: of a file that `read_verdicts` reads.
        run: the folder, for messages.

    Raises:
        InputError: there is no such file; it has a verdict on a sample that the run does not have, or none on an
            answer of the run.
        WherelookError: see `read_verdicts`.
    """
    rows, verdicts = list(rows), read_verdicts(path)
    known = {row["sample"] for row in rows}
    unknown = list(dict.fromkeys(sample for sample, _ in verdicts if sample not in known))
    if unknown:
        raise InputError(
            f"{path} has verdicts on samples that {run} does not have ({len(unknown)}, such as {unknown[0]!r}); "
            "expected verdicts on this run"
        )
    judged = [
        row | {"rule": before["judge"], "rule_correct": before["correct"], "verdicts": str(path)}
        for before, row in zip(rows, apply_verdicts(rows, verdicts), strict=True)
    ]
    if all(row["judge"] is None for row in judged):
        raise InputError(f"{path} has no verdict on an answer of {run}: expected verdicts on this run")
    return judged


def agreement(first: Sequence[bool | None], second: Sequence[bool | None], *, level: float = 0.95) -> Agreement:
    """How far two judges agree, on the same answers in the same order.

    Answers that one of them could not judge do not count. `level` is that of kappa's interval.
    """
    both = [(one, other) for one, other in zip(first, second, strict=True) if one is not None and other is not None]
    kappa = None
    if len(both) >= 2 and all(len({pair[side] for pair in both}) == 2 for side in (0, 1)):
        kappa = cohens_kappa([one for one, _ in both], [other for _, other in both], level=level)
    return Agreement(
        answers=len(both),
        both_right=both.count((True, True)),
        both_wrong=both.count((False, False)),
        only_first=both.count((True, False)),
        only_second=both.count((False, True)),
        kappa=kappa,
    )
