"""Which option an answer of a table names: its letter, its number, or its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Literal, get_args

from wherelook.errors import InputError, WherelookError

AnswerFormat = Literal["text", "letter", "index", "index1"]
ANSWER_FORMATS: tuple[AnswerFormat, ...] = get_args(AnswerFormat)
"""text: the option itself. letter: A, B and so on. index: its number, counted from 0. index1: counted from 1."""

Options = Mapping[str, str]
"""Texts of the options of a question by letter."""


def by_letter(choices: Sequence[str]) -> dict[str, str]:
    """Options by their letter, in order."""
    return dict(zip(ascii_uppercase, choices, strict=False))


def check_answer_format(name: str) -> AnswerFormat:
    """The form of this name.

    Raises:
        InputError: there is none.
    """
    if name not in ANSWER_FORMATS:
        raise InputError(f"unknown answer_format {name!r}; valid: {', '.join(ANSWER_FORMATS)}")
    return name


def named_option(answer: str, options: Options, form: AnswerFormat, place: str) -> str:
    """The text of the option that an answer names.

    Raises:
        WherelookError: it names none; the error says what was expected.
    """
    found = _find(answer, options, form)
    if found is None:
        expected = {
            "text": "the text of an option",
            "letter": f"a letter of {', '.join(options)}",
            "index": f"a number from 0 to {len(options) - 1}",
            "index1": f"a number from 1 to {len(options)}",
        }[form]
        raise WherelookError(
            f"{place}: answer {answer[:60]!r} names none of the {len(options)} options; expected {expected}"
        )
    return found


def infer_answer_format(answers: Sequence[tuple[str, Options]], place: str) -> AnswerFormat | None:
    """The form that numbers as answers of one table can only have; None where the answers are no numbers.

    Args:
        answers: some of them, with the options of their questions.
        place: what errors call the table.

    Raises:
        InputError: several forms fit, and name different options; it says how to tell.
    """
    numbers = [(answer, options) for answer, options in answers if _whole(answer) is not None]
    if not numbers or len(numbers) < len(answers):
        return None
    forms = [form for form in ANSWER_FORMATS if all(_find(*one, form) is not None for one in numbers)]
    if not forms:
        return None  # of every row it is told what is wrong
    first = [_find(*one, forms[0]) for one in numbers]
    different = [form for form in forms if [_find(*one, form) for one in numbers] != first]
    if different:
        answer, options = numbers[0]
        raise InputError(
            f"{place}: answers are numbers, such as {answer!r} of the options {list(options.values())[:6]!r:.100}, and "
            f"can be {' or '.join(forms)}: say which, with ,answer_format=NAME after the dataset's name (text: the "
            "option itself; index: its number from 0; index1: from 1)"
        )
    return forms[0]


def reference_of(answer: str, options: Options, form: AnswerFormat | None, place: str) -> str:
    """The text of the option that an answer names, or the answer itself where nothing says that it is an option.

    The text of an option counts before its letter: an option may itself be "A".

    Raises:
        WherelookError: it names no option although `form` says so, or is a number that can be several.
    """
    if form is not None:
        return named_option(answer, options, form, place)
    found = _find(answer, options, "text") or _find(answer, options, "letter")
    if found is None and _whole(answer) is not None:
        raise WherelookError(
            f"{place}: answer {answer[:60]!r} is none of the {len(options)} options; if it is the number of one, say "
            ",answer_format=index (from 0) or index1 (from 1) after the dataset's name"
        )
    return answer if found is None else found


def _find(answer: str, options: Options, form: AnswerFormat) -> str | None:
    if form == "text":
        return answer if answer in options.values() else None
    if form == "letter":
        return options.get(answer.strip().strip("().:").upper())
    number = _whole(answer)
    position = -1 if number is None else number - (form == "index1")
    return list(options.values())[position] if 0 <= position < len(options) else None


def _whole(answer: str) -> int | None:
    """The number that a short text of digits is."""
    text = answer.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
