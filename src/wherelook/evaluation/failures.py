"""What went wrong with samples: one line for a row, the commonest of many, and warnings while a run goes on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import torch

from wherelook import keys
from wherelook.errors import UnavailableError, WherelookError, machine_failure
from wherelook.evaluation.method_spec import MethodSpec
from wherelook.evaluation.rows import Row, method_row
from wherelook.storage import RESUME

IN_A_ROW = 5
"""Samples that fail one after another before a warning."""

JUDGED = 10
"""Answers of which none is right before a warning."""

EXAMPLES, EXAMPLE_LENGTH = 3, 60
"""Of answers in a warning: how many, and how many characters."""

_OWN = re.compile(r"'[^']*'|\"[^\"]*\"|\S*[/\\]\S*|\d+")
"""What is each sample's own in an error: quoted names, paths, numbers."""


def describe(error: Exception) -> str:
    """One line for the row of what failed, whatever it was.

    Raises:
        WherelookError: the device or the server failed, and will go on failing.
    """
    if isinstance(error, UnavailableError):
        raise error
    if isinstance(error, torch.AcceleratorError):
        raise WherelookError(f"the device failed: {_line(error)}; {RESUME}") from error
    if isinstance(error, WherelookError):
        return keys.cut(str(error))
    return machine_failure(error) or f"{type(error).__name__}: {_line(error)}"


def commonest_error(errors: Iterable[str]) -> tuple[str, int] | None:
    """The kind of error that comes most often, as its first example, and how often; None without errors.

    Errors that differ in names, paths and numbers alone are of one kind.
    """
    examples: dict[str, str] = {}
    counts = Counter[str]()
    for error in errors:
        kind = _OWN.sub("", error)
        examples.setdefault(kind, error)
        counts[kind] += 1
    if not counts:
        return None
    kind, count = counts.most_common(1)[0]
    return examples[kind], count


def row_or_error(run: MethodSpec, seed: int, explain: Callable[[], Row]) -> Row:
    """The row of one method, or of what went wrong with it.

    Raises:
        WherelookError: see `describe`.
    """
    try:
        return explain()
    except Exception as error:
        return method_row(run, seed) | {"status": "error", "error": describe(error)}


class Watch:
    """Looks at rows as they come, and warns of what nobody wants to find out at the end.

    Args:
        warn: takes one sentence.
        prompt: how questions are put, see `wherelook.data.datasets.PROMPT_STYLES`.
    """

    def __init__(self, warn: Callable[[str], None], prompt: str) -> None:
        self.warn = warn
        self.prompt = prompt
        self._failed = self._judged = self._right = 0
        self._rules: set[str] = set()
        self._examples: list[str] = []
        self._noted: set[str] = set()

    def note(self, sample: str, notes: Iterable[str]) -> None:
        """Takes what is to know about a sample's prompt; the first sample of each kind of note is warned of."""
        for note in notes:
            if (kind := _OWN.sub("", note.partition(":")[0])) not in self._noted:
                self._noted.add(kind)
                self.warn(f"sample {sample!r}, and perhaps others: {note}")

    def __call__(self, rows: Sequence[Row]) -> None:
        """Takes the rows of one sample."""
        errors = [row["error"] for row in rows if row["status"] == "error"]
        self._failed = self._failed + 1 if len(errors) == len(rows) else 0
        if self._failed == IN_A_ROW:
            self.warn(f"{self._failed} samples in a row failed, the last one with: {errors[0]}")
        judged = next((row for row in rows if row.get("correct") is not None), None)
        if judged is None or self._judged >= JUDGED:
            return
        self._judged += 1
        self._right += bool(judged["correct"])
        self._rules.add(str(judged["judge"]))
        if len(self._examples) < EXAMPLES:
            self._examples.append(_example(judged))
        if self._judged == JUDGED and not self._right:
            self.warn(
                f"none of the first {JUDGED} answers is right by rule {' or '.join(sorted(self._rules))}, asked with "
                f"--prompt {self.prompt}: {'; '.join(self._examples)}; if these are right, choose another "
                "--judge, else another --prompt"
            )


def _example(row: Row) -> str:
    references = list(dict.fromkeys(row.get("references") or ()))
    expected = " or ".join(_quoted(reference) for reference in references[:2])
    return f"{_quoted(row.get('answer') or '')} where {expected} is expected"


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= EXAMPLE_LENGTH else f"{text[:EXAMPLE_LENGTH]}...")


def _line(error: Exception) -> str:
    return keys.cut(" ".join(str(error).split()))[:300]
