"""Is an answer right? Rules that need no model; what a sample's reference does not tell they leave open."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

import numpy as np

from wherelook.arguments import expected
from wherelook.data.datasets import PROMPT_STYLES, Sample, prompt_style
from wherelook.data.sample import UNREAD_CHOICES
from wherelook.errors import unknown_name
from wherelook.evaluation.consensus import soft_accuracy
from wherelook.evaluation.normalization import normal_form, same_answer
from wherelook.evaluation.options import chosen_option
from wherelook.evaluation.yes_no import read_yes_or_no
from wherelook.registry import Registry, called, check_call

Judge = Callable[[str, Sample], bool | None]
"""(answer, sample) to whether it is right; None where the sample does not tell, or the rule is not for it."""


MOST_UNREAD = 10
"""Options that are reckoned with where they could not be told apart and are still in the question."""

LONGEST_SHORT = 12
"""Words of a reference from which on it is no short answer that could be given again word by word."""


@dataclass(frozen=True)
class Verdict:
    """What a rule says of an answer.

    Attributes:
        judge: the rule's name in `JUDGES`.
        correct: whether the answer is right; None where the rule cannot tell.
    """

    judge: str
    correct: bool | None


def exact(answer: str, sample: Sample) -> bool | None:
    """The answer is one of the references, letter by letter."""
    return answer in sample.references if sample.references else None


def normalized(answer: str, sample: Sample) -> bool | None:
    """The answer says what one of the references says; see `wherelook.evaluation.normalization.same_answer`."""
    return any(same_answer(answer, reference) for reference in sample.references) if sample.references else None


def contains(answer: str, sample: Sample) -> bool | None:
    """Whether the answer says one of the references, as whole words in any case: for names that stand in sentences."""
    if not sample.references:
        return None
    return says(answer, sample.references)


def says(answer: str, names: Iterable[str]) -> bool:
    """Whether it says one of the names, as whole words in any case."""
    return any(re.search(rf"\b{re.escape(name)}\b", answer, re.IGNORECASE) for name in names)


def option_letter(answer: str, sample: Sample) -> bool | None:
    """The answer names the option that is the reference, by its letter or by its text; see `chosen_option`.

    None where it names none or several, and where no option is a reference.
    """
    right, choices = right_options(sample), sample.choices
    if not choices and UNREAD_CHOICES in sample.flags and sample.reference is not None:
        choices, right = ("",) * MOST_UNREAD, {ascii_uppercase.find(sample.reference.strip("() ."))} - {-1}
    chosen = chosen_option(answer, choices)
    return None if chosen is None or not right else chosen in right


def right_options(sample: Sample) -> set[int]:
    """The places of the options that are the reference: by their text, else by what it says. Empty where none is."""
    exact_ones = {place for place, choice in enumerate(sample.choices) if choice in sample.references}
    return exact_ones or {place for place, choice in enumerate(sample.choices) if normalized(choice, sample)}


def consensus(answer: str, sample: Sample) -> bool | None:
    """At least two of ten people gave the answer: its `soft_accuracy` is above a half. None without ten answers."""
    value = soft_accuracy(answer, sample.references)
    return None if value is None else value > 0.5


def yes_or_no(answer: str, sample: Sample) -> bool | None:
    """The answer says yes or no as the reference does; see `read_yes_or_no`.

    None where the reference is neither of the two words, and where the answer says neither.
    """
    expected = {normal_form(reference) for reference in sample.references}
    if len(expected) != 1 or not expected <= {"yes", "no"}:
        return None
    said = read_yes_or_no(answer)
    return None if said is None else said in expected


def no_rule(answer: str, sample: Sample) -> bool | None:
    """No verdict: nothing short of a reader can tell, as with LLaVA-Bench's references of a paragraph."""
    return None


def _judge(name: str, found: Any) -> Judge:
    check_call("judge", found, "(answer, sample)", "", None)
    return found  # type: ignore[no-any-return]


JUDGES: Registry[Judge] = Registry(
    "judge",
    "wherelook.judges",
    {
        "exact": exact,
        "normalized": normalized,
        "contains": contains,
        "option-letter": option_letter,
        "yes-no": yes_or_no,
        "consensus": consensus,
        "none": no_rule,
    },
    _judge,
)
"""By the name that `--judge`, `Sample.judge` and the records use. Other packages add theirs by an entry point of the
group wherelook.judges.
"""

JudgeLike = str | Judge
"""A name of `JUDGES`, "auto", or a function."""

AUTOMATIC = "auto"
"""The name for the judge that fits the sample: see `judge_for`."""


def judge_for(name: str, sample: Sample, style: str) -> str:
    """The name of the judge of a sample.

    Args:
        name: of a judge, or "auto": the one that the sample names; else option-letter where options are shown, yes-no
            where the reference is the word yes or no, consensus where ten people answered, none where every reference
            has more than `LONGEST_SHORT` words, else normalized.
        sample: what was asked.
        style: how, see `wherelook.data.datasets.PROMPT_STYLES`.
    """
    if name != AUTOMATIC:
        return name
    style = prompt_style(sample, style)
    lettered = (style == "choices" and bool(sample.choices)) or UNREAD_CHOICES in sample.flags
    if sample.judge is not None and (sample.judge != "option-letter" or lettered):
        return sample.judge
    if lettered:
        return "option-letter"
    if yes_or_no("yes", sample) is not None:
        return "yes-no"
    if consensus("", sample) is not None:
        return "consensus"
    long = sample.references and all(len(reference.split()) > LONGEST_SHORT for reference in sample.references)
    return "none" if long else "normalized"


def judge_answer(answer: str, sample: Sample, *, judge: JudgeLike = AUTOMATIC, style: str = "open") -> Verdict:
    """Whether an answer is right, and by which rule: the one way in which every command judges.

    Args:
        answer: the answer alone, without a model's thought.
        sample: what was asked.
        judge: a name of `JUDGES`, or "auto": see `judge_for`; or a function (answer, sample) to True, False or None.
        style: how it was asked, see `wherelook.data.datasets.PROMPT_STYLES`.

    Raises:
        InputError: the judge says something else than True, False or None.
    """
    if isinstance(judge, str):
        name = judge_for(judge, sample, style)
        rule = JUDGES[name]
    else:
        name, rule = called(judge), judge
    correct = rule(answer, sample)
    if not isinstance(correct, bool | np.bool_ | None):
        raise expected(f"the verdict of judge {name!r}", "True, False or None", correct)
    return Verdict(name, None if correct is None else bool(correct))


def judge_name(judge: JudgeLike) -> str:
    """What a record calls a judge."""
    return judge if isinstance(judge, str) else called(judge)


def check_judge(judge: JudgeLike) -> None:
    """Raises InputError for a name that is none of `JUDGES` and not "auto", and for what is no function."""
    if not isinstance(judge, str):
        _judge(called(judge), judge)
    elif judge != AUTOMATIC and judge not in JUDGES:
        raise unknown_name("judge", judge, (AUTOMATIC, *JUDGES))
    elif judge != AUTOMATIC:
        JUDGES.find(judge)  # one of another package may not be there


def check_judging(judge: JudgeLike, style: str) -> None:
    """Raises InputError for an unknown judge, or a style that is none of `wherelook.data.datasets.PROMPT_STYLES`."""
    check_judge(judge)
    if style not in PROMPT_STYLES:
        raise unknown_name("prompt style", style, PROMPT_STYLES)


def group_verdicts(
    rows: Iterable[Mapping[str, Any]], *, size: int = 2, sizes: Mapping[str, int] | None = None
) -> dict[str, bool | None]:
    """Whether all answers of a group are right, by the group's name: MMVP's rule for its pairs.

    False where one is not right: wrong, or not given because of an error. None where no answer is wrong, but some
    could not be judged or are not there.

    Args:
        rows: with sample, group, correct and status, of one model; several methods' rows of an answer count once.
        size: samples in a group, at least.
        sizes: the same by group, where groups differ.
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
            least = size if sizes is None else sizes.get(name, size)
            found[name] = None if None in values or len(values) < least else True
    return found
