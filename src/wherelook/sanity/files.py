"""Files of sanity checks: each check as it is made, and the verdicts on methods."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wherelook.errors import InputError
from wherelook.lines import whole_lines
from wherelook.models import AnyModel
from wherelook.sanity.checks import Check
from wherelook.study.runs import Run

VERDICTS_FILE = "sanity.json"
CHECKS_FILE = "sanity-checks.jsonl"
ROW_KEYS = {"method", "verdict", "answers", "asked", "settings"}


def conditions(
    model: AnyModel,
    name: str,
    dataset: str,
    *,
    wrong: bool = False,
    lend: bool = False,
    prompt_template: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """What a file of verdicts is about: all that changes a verdict but the settings of its method.

    Args:
        model: who answered; its revision, the type of its weights, their quantisation and its chat options matter.
        name: of the model, as it was asked for.
        dataset: name of the data set.
        wrong, lend: whether wrong answers are explained too, and whether images are lent, see `wherelook.evaluate`.
        prompt_template: of the model, where one was given.
        seed: of everything random.
    """
    quantization = model.description["quantization"]
    kept = {} if quantization is None else {"quantization": quantization}  # older files have none
    kept |= model.chat.record
    return {
        "model": name,
        "revision": model.description["revision"],
        "dtype": model.description["dtype"],
        "prompt_template": prompt_template,
        "dataset": dataset,
        "wrong": wrong,
        "lend": lend,
        "seed": seed,
        **kept,
    }


def read_checks(path: Path, about: Mapping[str, Any], runs: Sequence[Run]) -> list[Check]:
    """The checks that `make_checks` wrote to a file, of those runs whose settings are the same.

    A last line that an interruption cut off is removed.

    Args:
        path: of the file; there need be none.
        about: see `conditions`.
        runs: whose checks are wanted.

    Raises:
        InputError: the file is about something else, or broken.
    """
    settings = {run.name: asdict(run.settings) for run in runs}
    checks = []
    for line in whole_lines(path):
        try:
            record = json.loads(line)
            check, same = Check(**record["check"]), record["about"] == dict(about)
            wanted = settings.get(check.run) == record["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise _broken(path) from error
        if not same:
            raise _something_else(path)
        if wanted:
            checks.append(check)
    return checks


def make_checks(
    path: Path | None,
    about: Mapping[str, Any],
    runs: Sequence[Run],
    check: Callable[[Sequence[Check]], Iterable[Check]],
) -> list[Check]:
    """All checks; those that the file has are not made again, and each new one is written before the next is made.

    Args:
        path: of the file; None keeps nothing.
        about: see `conditions`.
        runs: what is checked.
        check: (checks known) -> all checks; see `check_sanity`.

    Raises:
        InputError: see `read_checks`.
    """
    if path is None:
        return list(check(()))
    known = read_checks(path, about, runs)
    settings = {run.name: asdict(run.settings) for run in runs}
    checks = []
    with path.open("a", encoding="utf-8") as lines:
        for made in check(known):
            checks.append(made)
            if made not in known:
                record = {"check": asdict(made), "settings": settings[made.run], "about": dict(about)}
                lines.write(json.dumps(record) + "\n")
                lines.flush()
    return checks


def read_verdicts(path: Path, about: Mapping[str, Any], runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Rows of `to_rows` by the run's name, as `write_verdicts` wrote them, of those runs whose settings are the same.

    Args:
        path: of the file; there need be none.
        about: see `conditions`.
        runs: whose verdicts are wanted.

    Raises:
        InputError: the file is about something else, or broken.
    """
    rows = _read_rows(path, about)
    return {run.name: rows[run.name] for run in runs if rows.get(run.name, {}).get("settings") == asdict(run.settings)}


def write_verdicts(path: Path, about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds rows of `to_rows` to the file, in place of earlier ones of the same runs.

    An earlier one with the same settings stays if more answers were asked for. See `read_verdicts` for the errors.
    """
    kept = _read_rows(path, about)
    for row in rows:
        before = kept.get(row["method"])
        if before is None or before["settings"] != row["settings"] or before["asked"] <= row["asked"]:
            kept[row["method"]] = dict(row)
    text = json.dumps({"about": dict(about), "methods": list(kept.values())}, indent=2, allow_nan=False) + "\n"
    whole = path.with_name(f"{path.name}.new")  # an interruption leaves the old file or the new one, never half of one
    whole.write_text(text, encoding="utf-8")
    os.replace(whole, path)


def _read_rows(path: Path, about: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        same = dict(record["about"]) == dict(about)
        rows = {row["method"]: row for row in record["methods"]} if same else {}
        if not all(row.keys() >= ROW_KEYS and isinstance(row["asked"], int) for row in rows.values()):
            raise KeyError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(path) from error
    if not same:
        raise _something_else(path)
    return rows


def _broken(path: Path) -> InputError:
    return InputError(f"{str(path)!r} is broken: remove it, and the checks are made again")


def _something_else(path: Path) -> InputError:
    return InputError(f"{path.parent} holds sanity checks of something else ({path.name}): name a new folder")
