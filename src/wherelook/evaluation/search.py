"""A search for answers that can be explained: it counts what it passes over, and ends where it finds hardly any."""

from __future__ import annotations

from dataclasses import dataclass, field

from wherelook.data.datasets import Sample
from wherelook.errors import WherelookError
from wherelook.evaluation.failures import commonest_error

WRONG_LIMIT = 50
"""Samples that may be passed over for each one that is found."""


class HardlyRightError(WherelookError):
    """Answers to explain were searched for, and there are hardly any."""


@dataclass
class Search:
    """What was found, and what was passed over.

    Attributes:
        found: answers that can be explained.
        wrong: answers that are not right, where only right ones are wanted.
        ungrounded: answers of which no word is visually grounded, where these are passed over.
        errors: of samples that failed.
    """

    found: int = 0
    wrong: int = 0
    ungrounded: int = 0
    errors: list[str] = field(default_factory=list)
    _example: str = ""

    def pass_wrong(self, answer: str, sample: Sample, judge: str) -> None:
        """Notes an answer that is not right.

        Raises:
            HardlyRightError: hardly any answer can be explained.
        """
        self.wrong += 1
        expected = " or ".join(repr(reference[:80]) for reference in sample.references[:2])
        self._example = f" by rule {judge} (for example {answer.strip()[:80]!r}, expected {expected})"
        self._check()

    def pass_ungrounded(self) -> None:
        """Notes an answer that does not depend on the image. Raises as `pass_wrong`."""
        self.ungrounded += 1
        self._check()

    def pass_failed(self, error: str) -> None:
        """Notes a sample that failed. Raises as `pass_wrong`."""
        self.errors.append(error)
        self._check()

    def _check(self) -> None:
        if self.wrong + self.ungrounded + len(self.errors) >= WRONG_LIMIT * max(self.found, 1):
            raise HardlyRightError(self.summary)

    @property
    def summary(self) -> str:
        """What was passed over, in one line; empty where nothing was."""
        asked = self.found + self.wrong + self.ungrounded + len(self.errors)
        parts = []
        if self.wrong:
            parts.append(
                f"{self.wrong} of {asked} answers are not right{self._example} and were passed over: --judge chooses "
                "another rule, --wrong explains such answers, too"
            )
        if self.ungrounded:
            parts.append(f"{self.ungrounded} of {asked} answers do not depend on the image")
        if found := commonest_error(self.errors):
            parts.append(f"{len(self.errors)} of {asked} samples failed, the commonest error ({found[1]}): {found[0]}")
        return "; ".join(parts)
