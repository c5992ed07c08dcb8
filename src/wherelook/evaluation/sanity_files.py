"""Files of sanity checks: each check as it is made, and the verdicts on methods."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wherelook.errors import InputError
from wherelook.evaluation.judges import AUTOMATIC
from wherelook.evaluation.method_spec import MethodSpec
from wherelook.evaluation.sanity import Check
from wherelook.models import AnyModel
from wherelook.storage import LineFile, read_text, write_whole

VERDICTS_FILE = "sanity.json"
CHECKS_FILE = "sanity-checks.jsonl"
ROW_KEYS = {"method", "verdict", "answers", "asked", "settings"}


def conditions(
    model: AnyModel,
    name: str,
    dataset: str,
    *,
    prompt: str = "auto",
    judge: str = AUTOMATIC,
    wrong: bool = False,
    lend: bool = False,
    prompt_template: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """What a file of verdicts is about: all that changes a verdict but the settings of its method.

    Args:
        model: who answered; its revision, the type of its weights, their quantisation, its chat options, and
            the limit of pixels and the attention that were asked for matter.
        name: of the model, as it was asked for.
        dataset: name of the dataset.
        prompt, judge: how questions are put, and which rule says what is right.
        wrong, lend: whether wrong answers are explained too, and whether images are lent, see
            `wherelook.evaluation.evaluate`.
        prompt_template: of the model, where one was given.
        seed: of everything random.
    """
    quantization = model.description["quantization"]
    kept = {} if quantization is None else {"quantization": quantization}  # older files have none
    kept |= model.chat.record
    asked = {"max_pixels": model.description, "attn_implementation": model.execution}
    kept |= {key: record[key] for key, record in asked.items() if record.get(key) is not None}
    return {
        "model": name,
        "revision": model.description["revision"],
        "dtype": model.description["dtype"],
        "prompt_template": prompt_template,
        "dataset": dataset,
        "prompt": prompt,
        "judge": judge,
        "wrong": wrong,
        "lend": lend,
        "seed": seed,
        **kept,
    }


def read_checks(lines: LineFile, about: Mapping[str, Any], runs: Sequence[MethodSpec]) -> list[Check]:
    """The checks that `make_checks` wrote to a file, of those runs whose settings are the same.

    Args:
        lines: the file; there need be none.
        about: see `conditions`.
        runs: whose checks are wanted.

    Raises:
        InputError: the file is about something else, or broken.
    """
    settings = {run.name: asdict(run.settings) for run in runs}
    checks = []
    for record in lines.records:
        try:
            check, same = Check(**record["check"]), record["about"] == dict(about)
            wanted = settings.get(check.run) == record["settings"]
        except (KeyError, TypeError) as error:
            raise _broken(lines.path) from error
        if not same:
            raise _something_else(lines.path)
        if wanted:
            checks.append(check)
    return checks


def make_checks(
    path: Path | None,
    about: Mapping[str, Any],
    runs: Sequence[MethodSpec],
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
    lines = LineFile(path)
    known = read_checks(lines, about, runs)
    settings = {run.name: asdict(run.settings) for run in runs}
    checks = []
    for made in check(known):
        checks.append(made)
        if made not in known:
            lines.add({"check": asdict(made), "settings": settings[made.run], "about": dict(about)})
    return checks


def read_verdicts(path: Path, about: Mapping[str, Any], runs: Sequence[MethodSpec]) -> dict[str, dict[str, Any]]:
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
    write_whole(path, text.encode())


def _read_rows(path: Path, about: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    text = read_text(path)
    if text is None:
        return {}
    try:
        record = json.loads(text)
        same = dict(record["about"]) == dict(about)
        rows = {row["method"]: row for row in record["methods"]} if same else {}
        if not all(row.keys() >= ROW_KEYS and isinstance(row["asked"], int) for row in rows.values()):
            raise KeyError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _broken(path) from error
    if not same:
        raise _something_else(path)
    return rows


def _broken(path: Path) -> InputError:
    return InputError(f"{str(path)!r} is broken: move it away, and the checks are made again; or name a new folder")


def _something_else(path: Path) -> InputError:
    return InputError(f"{path.parent} holds sanity checks of something else ({path.name}): name a new folder")
