"""Answers of ten people: the soft accuracy of VQA and TextVQA.

A model's answer is worth min(n / 3, 1), with n how many of nine people gave it too; the mean over all ten ways to leave
one of them out (Antol et al. 2015, arXiv 1505.00468, and the published evaluation). The answers are brought to one form
first, as that evaluation does: lower case, punctuation, articles, number words up to ten. Where it restores missing
apostrophes by a list, apostrophes are dropped on both sides here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PEOPLE = 10
"""Answers from which on references are those of several people."""

ENOUGH = 3
"""People who must agree for a full point."""

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_ARTICLES = frozenset(("a", "an", "the"))
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS)} | {"none": "0"}
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")


def soft_accuracy(answer: str, references: Sequence[str]) -> float | None:
    """What an answer is worth, in [0, 1]; None for fewer than `PEOPLE` references.

    1 from four people who gave it, 0.9 for three, 0.6 for two, 0.3 for one of ten.
    """
    if len(references) < PEOPLE:
        return None
    said = plain(answer)
    agree = [plain(reference) == said for reference in references]
    return sum(min((sum(agree) - one) / ENOUGH, 1.0) for one in agree) / len(agree)


def plain(text: str) -> str:
    """The form in which answers are compared."""
    text = " ".join(text.split()).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    comma = _COMMA_IN_NUMBER.search(text) is not None
    # A mark that somewhere stands beside a space is taken out; one that only joins words becomes a space.
    for mark in _PUNCTUATION:
        beside_space = f"{mark} " in text or f" {mark}" in text
        text = text.replace(mark, "" if beside_space or comma else " ")
    text = _PERIOD.sub("", text).replace("'", "")
    return " ".join(_NUMBERS.get(word, word) for word in text.split() if word not in _ARTICLES)
