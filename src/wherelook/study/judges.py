"""Is an answer right? Rules that need no model; what a sample's reference does not tell they leave open."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from wherelook.data.samples import Sample, prompt_style
from wherelook.errors import WherelookError, unknown_name
from wherelook.study.consensus import soft_accuracy

Judge = Callable[[str, Sample], bool | None]
"""(answer, sample) to whether it is right; None where the sample does not tell, or the rule is not for it."""


@dataclass(frozen=True)
class Verdict:
    """What a rule says of an answer.

    Attributes:
        judge: the rule's name in `JUDGES`.
        correct: whether the answer is right; None where the rule cannot tell.
    """

    judge: str
    correct: bool | None


ARTICLES = frozenset(("a", "an", "the"))

NUMBER_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
NUMBERS: Mapping[str, str] = {word: str(number) for number, word in enumerate(NUMBER_WORDS)}

_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+(?:'[^\W\d_]+)*")
_LETTER = re.compile(
    r"\W*(?:(?:[Tt]he )?(?:(?:correct|right) )?(?:[Aa]nswer|[Oo]ption)(?: is|:)? *\(?)?"
    r"(?:(?P<marked>[A-Za-z])(?=[).:,]|\W*$)|(?P<bare>[B-Z])(?= ))"
)
"""A letter with a mark behind it or nothing; before a word only from B on: an A there is an article."""

_ANNOUNCED = re.compile(r"\b[Aa]nswer(?: is|:) *(?:[Oo]ption )?\(?(?P<letter>[A-Z])(?=[).:,]|\W*$)")
"""A letter that some sentence of the answer calls the answer."""


WRONG_LIMIT = 50
"""Where only right answers are wanted the search for them ends after so many wrong ones for each right one."""


class HardlyRightError(WherelookError):
    """Right answers were asked for, and there are hardly any."""


def check_search(wrong: int, right: int, answer: str, sample: Sample) -> None:
    """Ends a search for right answers that finds hardly any.

    Raises:
        HardlyRightError: so many were wrong; the last of them is the example.
    """
    if wrong >= WRONG_LIMIT * max(right, 1):
        raise HardlyRightError(hardly_right(wrong, wrong + right, answer, sample))


def hardly_right(wrong: int, asked: int, answer: str = "", sample: Sample | None = None) -> str:
    """What to tell where wrong answers were passed over; with one of them as an example."""
    example = ""
    if sample is not None:
        expected = " or ".join(repr(reference[:80]) for reference in sample.references[:2])
        example = f" (for example {answer.strip()[:80]!r}, expected {expected})"
    return (
        f"{wrong} of {asked} answers are not letter by letter what the data set expects{example} and were passed over: "
        "--wrong explains such answers, too"
    )


def exact(answer: str, sample: Sample) -> bool | None:
    """The answer is one of the references, letter by letter."""
    return answer in sample.references if sample.references else None


def normalised(answer: str, sample: Sample) -> bool | None:
    """The answer has the words of one of the references: case, punctuation and articles aside, numbers as digits."""
    return any(words(answer) == words(reference) for reference in sample.references) if sample.references else None


def option_letter(answer: str, sample: Sample) -> bool | None:
    """The answer names the option that is the reference, by its letter or by its text. None without options."""
    right = next((index for index, choice in enumerate(sample.choices) if choice in sample.references), None)
    return None if right is None else chosen_option(answer, sample.choices) == right


def consensus(answer: str, sample: Sample) -> bool | None:
    """At least two of ten people gave the answer: its `soft_accuracy` is above a half. None without ten answers."""
    value = soft_accuracy(answer, sample.references)
    return None if value is None else value > 0.5


def yes_or_no(answer: str, sample: Sample) -> bool | None:
    """The answer begins with yes or no as the reference does. None where the reference begins with neither."""
    expected = words(sample.reference or "")[:1]
    return words(answer)[:1] == expected if expected in (["yes"], ["no"]) else None


def no_rule(answer: str, sample: Sample) -> bool | None:
    """No verdict: nothing short of a reader can tell, as with LLaVA-Bench's references of a paragraph."""
    return None


JUDGES: Mapping[str, Judge] = {
    "exact": exact,
    "normalised": normalised,
    "option-letter": option_letter,
    "yes-no": yes_or_no,
    "consensus": consensus,
    "none": no_rule,
}
"""By the name that `--judge`, `Sample.judge` and the records use."""

AUTOMATIC = "auto"
"""The name for the judge that fits the sample: see `judge_for`."""


def judge_for(name: str, sample: Sample, style: str) -> str:
    """The name of the judge of a sample.

    Args:
        name: of a judge, or "auto": the one that the sample names; else option-letter where options are shown, yes-no
            where the reference begins with yes or no, consensus where ten people answered, else normalised.
        sample: what was asked.
        style: how, see `wherelook.data.samples.PROMPT_STYLES`.
    """
    if name != AUTOMATIC:
        return name
    style = prompt_style(sample, style)
    if sample.judge is not None and (sample.judge != "option-letter" or style == "choices"):
        return sample.judge
    if style == "choices" and sample.choices:
        return "option-letter"
    if yes_or_no("", sample) is not None:
        return "yes-no"
    return "normalised" if consensus("", sample) is None else "consensus"


def judge_answer(answer: str, sample: Sample, *, judge: str = AUTOMATIC, style: str = "open") -> Verdict:
    """Whether an answer is right, and by which rule: the one way in which every command judges.

    Args:
        answer: the answer alone, without a model's thought.
        sample: what was asked.
        judge: a name of `JUDGES`, or "auto": see `judge_for`.
        style: how it was asked, see `wherelook.data.samples.PROMPT_STYLES`.
    """
    name = judge_for(judge, sample, style)
    return Verdict(name, JUDGES[name](answer, sample))


def check_judge(name: str) -> None:
    """Raises InputError for a name that is none of `JUDGES` and not "auto"."""
    if name not in (AUTOMATIC, *JUDGES):
        raise unknown_name("judge", name, (AUTOMATIC, *JUDGES))


def words(text: str) -> list[str]:
    """Its words in lower case without articles, number words as digits."""
    plain = text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return [NUMBERS.get(word, word) for word in _WORD.findall(plain) if word not in ARTICLES]


def chosen_option(answer: str, choices: tuple[str, ...]) -> int | None:
    """Which option an answer names; None if it names none.

    By its text alone, else by a letter that it begins with, else by the only letter that it calls the answer.

    "B", "(b)", "B. a dog", "The answer is B" and "There are two, so the answer is (B)." name the second one.
    """
    texts = [words(choice) for choice in choices]
    said = words(answer)
    if said and texts.count(said) == 1:
        return texts.index(said)
    options = ascii_uppercase[: len(choices)]
    match = _LETTER.match(answer)
    first = (match["marked"] or match["bare"]).upper() if match else ""
    letters = {first} if first and first in options else set(_ANNOUNCED.findall(answer))
    letter = letters.pop() if len(letters) == 1 else ""
    return options.index(letter) if letter and letter in options else None


def group_verdicts(rows: Iterable[Mapping[str, Any]], *, size: int = 2) -> dict[str, bool | None]:
    """Whether all answers of a group are right, by the group's name: MMVP's rule for its pairs.

    False where one is not right: wrong, or not given because of an error. None where no answer is wrong, but some
    could not be judged or are not there.

    Args:
        rows: with sample, group, correct and status, of one model; several methods' rows of an answer count once.
        size: samples in a group.
    """
    groups: dict[str, dict[str, bool | None]] = {}
    for row in rows:
        if row["group"] is not None:
            failed = row["correct"] is None and row["status"] == "error"
            groups.setdefault(row["group"], {})[row["sample"]] = False if failed else row["correct"]
    found: dict[str, bool | None] = {}
    for name, verdicts in groups.items():
        values = list(verdicts.values())
        if False in values:
            found[name] = False
        else:
            found[name] = None if None in values or len(values) < size else True
    return found
