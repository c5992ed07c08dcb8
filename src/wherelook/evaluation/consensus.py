"""Answers of ten people: the soft accuracy of VQA and TextVQA.

A model's answer is worth min(n / 3, 1), with n how many of nine people gave it too; the mean over all ten ways to leave
one of them out (Antol et al. 2015, arXiv 1505.00468, and the published evaluation). The answers are brought to one form
first, as that evaluation does: lower case, punctuation, number words up to ten, articles, missing apostrophes.

Two things differ. What tells answers apart stays where the published form deletes it: the sign before a number, the
marks of "C++", "C#" and "A+", and an answer of which nothing would be left. And answers are brought to that form where
all people agree, too, while the published code then compares letter by letter.
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

_SIGN = re.compile(r"(?<!\S)[-+\u2212](?=\.?\d)")
_SUFFIX = re.compile(r"(?<=\b[a-z])(?:\+\+?|#)(?!\w)")
_KEPT = {"-": "\ue000", "\u2212": "\ue000", "+": "\ue001", "#": "\ue002"}  # private characters, while marks are deleted
_RESTORED = {ord(private): mark for mark, private in _KEPT.items() if mark != "\u2212"}

# Contractions that are no words without their apostrophe: "its" and "were" are, so "it's" and "we're" are not here.
_ENDINGS = {
    "n't": "ai are ca could did does do had has have is might must need sha should was were wo would",
    "'ve": "could i might must should they we who would you",
    "'ll": "it that there they what who you",
    "'re": "they what you",
    "'d": "it that there they who you",
    "'s": "he here how she that there what when where who why",
    "'m": "i",
    "'am": "ma",
    "'all": "y",
    "'clock": "o",
}
_WITH_APOSTROPHE = {
    stem + ending.replace("'", ""): stem + ending for ending, stems in _ENDINGS.items() for stem in stems.split()
}


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
    """The form in which answers are compared; that of no answer but white space is empty."""
    whole = " ".join(text.split()).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = _SIGN.sub(lambda found: _KEPT[found[0]], whole)
    text = _SUFFIX.sub(lambda found: "".join(_KEPT[mark] for mark in found[0]), text)
    comma = _COMMA_IN_NUMBER.search(text) is not None
    marks = text
    # A mark that somewhere stands beside a space is taken out; one that only joins words becomes a space.
    for mark in _PUNCTUATION:
        beside_space = f"{mark} " in marks or f" {mark}" in marks
        text = text.replace(mark, "" if beside_space or comma else " ")
    text = _PERIOD.sub("", text).translate(_RESTORED)
    words = [_NUMBERS.get(word, word) for word in text.split() if word not in _ARTICLES]
    return " ".join(_WITH_APOSTROPHE.get(word, word) for word in words) or whole
