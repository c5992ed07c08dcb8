"""A search for answers that can be explained: it counts what it passes over, and ends where it finds hardly any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from wherelook.errors import WherelookError
from wherelook.evaluation.failures import commonest_error
from wherelook.evaluation.rows import WRONG, Row
from wherelook.evaluation.run_folder import Known
from wherelook.evaluation.worker import LENT

WRONG_LIMIT = 50
"""Samples that may be passed over for each one that is found."""


class HardlyRightError(WherelookError):
    """Answers to explain were searched for, and there are hardly any."""


@dataclass
class Search:
    """What was found, and what was passed over.

    Attributes:
        answers: how many answers to explain are wanted; None for all there are.
        checked: how many of them are to have a map that sanity checks can be made on.
        found: answers that can be explained.
        grounded: of them, those with such a map.
        wrong: answers that are not right, where only right ones are wanted.
        errors: of samples that failed.
    """

    answers: int | None = None
    checked: int = 0
    found: int = 0
    grounded: int = 0
    wrong: int = 0
    errors: list[str] = field(default_factory=list)
    _example: str = ""

    @property
    def over(self) -> bool:
        """Whether enough was found, or hardly anything can be."""
        return self.answers is not None and (self._enough or self.hopeless)

    @property
    def _enough(self) -> bool:
        return self.found >= (self.answers or 0) and self.grounded >= self.checked

    @property
    def hopeless(self) -> bool:
        """Whether hardly any answer can be explained, or checked."""
        passed, found = self.wrong + len(self.errors), self.found
        if self.checked > 0 and self.found >= (self.answers or 0):
            passed, found = passed + self.found - self.grounded, self.grounded
        return not self._enough and passed >= WRONG_LIMIT * max(found, 1)

    def note(self, known: Known, rows: Sequence[Row] = ()) -> None:
        """Takes a sample that has its rows; `rows` are those that are new."""
        if WRONG in known.statuses.values():
            self.wrong += 1
            if rows:
                expected = " or ".join(repr(reference[:80]) for reference in rows[0]["references"][:2])
                answer = rows[0]["answer"].strip()[:80]
                self._example = f" by rule {rows[0]['judge']} (for example {answer!r}, expected {expected})"
        elif known.answer is None:
            self.errors.append(known.error)
        else:
            self.found += 1
            self.grounded += checkable(known)

    @property
    def failure(self) -> HardlyRightError | None:
        """Why the search ended without answers, or with hardly any; None where it did not."""
        if not self.answers or not self.summary or (self.found and not self.hopeless):
            return None
        return HardlyRightError(self.summary)

    @property
    def summary(self) -> str:
        """What was passed over, in one line; empty where nothing was."""
        asked = self.found + self.wrong + len(self.errors)
        parts = []
        if self.wrong:
            parts.append(
                f"{self.wrong} of {asked} answers are not right{self._example} and were passed over: --judge chooses "
                "another rule, --wrong explains such answers, too"
            )
        if found := commonest_error(self.errors):
            parts.append(f"{len(self.errors)} of {asked} samples failed, the commonest error ({found[1]}): {found[0]}")
        if self.checked and self.grounded < self.found:
            parts.append(f"{self.found - self.grounded} of {asked} answers do not depend on the image")
        return "; ".join(parts)


def checkable(known: Known) -> bool:
    """Whether sanity checks can be made on a sample: its words are grounded, by a baseline of its own image."""
    return bool(known.mapped) and known.baseline != LENT
