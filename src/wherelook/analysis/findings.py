"""Tests of a comparison before and after their correction: what was asked, and how p-values are corrected together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wherelook.analysis.results import Finding, Question
from wherelook.stats import Test, benjamini_hochberg, holm

CORRECTIONS: Mapping[str, Callable[[Sequence[float]], list[float]]] = {
    "holm": holm,
    "benjamini-hochberg": benjamini_hochberg,
}
"""By name: controls the family-wise error rate, or the false discovery rate."""


TESTS_PER_MODEL, TESTS_PER_BENCHMARK = 4, 11
"""At most."""


@dataclass(frozen=True)
class Precision:
    """How exact figures and tests are.

    Attributes:
        level: of the intervals.
        seed: of permutations and resamples.
        resamples: permutations of a test.
    """

    level: float = 0.95
    seed: int = 0
    resamples: int = 9999


def enough_resamples(models: Sequence[int]) -> int:
    """Permutations that let a finding be significant after correction: the smallest p they give is 1 / (they + 1).

    Args:
        models: how many there are on each benchmark.
    """
    tests = sum(TESTS_PER_MODEL * count + TESTS_PER_BENCHMARK for count in models)
    return max(9999, 200 * tests)


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
        Finding(
            question=one.question, benchmark=one.benchmark, subject=one.subject, asked=one.asked, test=one.test, p=p
        )
        for one, p in zip(asked, p_values, strict=True)
    )
