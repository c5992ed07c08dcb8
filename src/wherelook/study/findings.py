"""Tests of a comparison before and after their correction: what was asked, and how p-values are corrected together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wherelook.stats import Test, benjamini_hochberg, holm
from wherelook.study.comparison import Finding, Question

CORRECTIONS: Mapping[str, Callable[[Sequence[float]], list[float]]] = {
    "holm": holm,
    "benjamini-hochberg": benjamini_hochberg,
}
"""By name: no false finding, or few among the findings."""


@dataclass(frozen=True)
class Asked:
    """A test that is not corrected yet; see `Finding`."""

    question: Question
    benchmark: str
    subject: str
    asked: str
    test: Test


@dataclass(frozen=True)
class Outcome:
    """Tests that were made, and sentences about those that could not be."""

    asked: tuple[Asked, ...]
    notes: tuple[str, ...]


def correct(asked: Sequence[Asked], correction: str) -> tuple[Finding, ...]:
    """All tests, corrected together by one of `CORRECTIONS`."""
    p_values = CORRECTIONS[correction]([one.test.p for one in asked])
    return tuple(
        Finding(one.question, one.benchmark, one.subject, one.asked, one.test, p)
        for one, p in zip(asked, p_values, strict=True)
    )
