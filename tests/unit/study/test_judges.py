"""Rules that tell whether an answer is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wherelook.data.images import load_image
from wherelook.data.samples import Sample
from wherelook.data.sources import ImageInMemory
from wherelook.errors import InputError
from wherelook.study.judges import JUDGES, Verdict, check_judge, chosen_option, group_verdicts, judge_answer, judge_for


def sample(*references: str, choices: tuple[str, ...] = ()) -> Sample:
    image = ImageInMemory(load_image(np.zeros((8, 8, 3), np.uint8)))
    return Sample("1", image, "What?", references=references, choices=choices)


@pytest.mark.parametrize(
    ("judge", "answer", "references", "right"),
    [
        ("exact", "Two dogs.", ("Two dogs.",), True),
        ("exact", "two dogs.", ("Two dogs.",), False),
        ("exact", "b", ("a", "b"), True),
        ("exact", "b", (), None),
        ("normalised", "the TWO dogs!", ("2 dogs",), True),
        ("normalised", "It's an apple", ("it\N{RIGHT SINGLE QUOTATION MARK}s apple.",), True),
        ("normalised", "three dogs", ("2 dogs", "Three dogs."), True),
        ("normalised", "dog", ("dogs",), False),
        ("normalised", "", ("dogs",), False),
        ("normalised", "twelve", ("12",), True),
        ("normalised", "1.5", ("15",), False),
        ("normalised", "dogs", (), None),
        ("yes-no", "Yes, there is.", ("yes",), True),
        ("yes-no", "No.", ("Yes, a dog.",), False),
        ("yes-no", "There is nothing.", ("no",), False),
        ("yes-no", "Not at all", ("no",), False),
        ("yes-no", "yes", ("a dog",), None),
        ("yes-no", "yes", (), None),
        ("option-letter", "A", ("a dog",), None),
        ("consensus", "Red!", ("red",) * 2 + ("blue",) * 8, True),
        ("consensus", "red", ("red",) * 1 + ("blue",) * 9, False),
        ("consensus", "red", ("red",) * 9, None),
    ],
)
def test_rules(judge, answer, references, right):
    assert JUDGES[judge](answer, sample(*references)) is right


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("B", 1),
        ("b", 1),
        ("(b)", 1),
        ("B.", 1),
        ("B. no cat at all", 1),
        ("B) a cat", 1),
        ("B the cat", 1),
        ("The answer is C", 2),
        ("answer: (C)", 2),
        ("The correct answer is A.", 0),
        ("Option B", 1),
        ("There is one with whiskers, so the answer is (B).", 1),
        ("I think the correct answer is C", 2),
        ("The answer is A. No, the answer is B.", 0),  # it begins with one
        ("First, the answer is A. No, the answer is B.", None),
        ("I think the answer is A dog", None),
        ("A cat.", 1),
        ("the dog", 0),
        ("A dog and a cat", None),
        ("a", 0),
        ("D", None),
        ("Because it is so", None),
        ("", None),
        ("I see a cat", None),
    ],
)
def test_the_option_that_an_answer_names(answer, index):
    choices = ("a dog", "a cat", "a parrot")
    assert chosen_option(answer, choices) == index
    expected = None if index is None else index == 1
    assert JUDGES["option-letter"](answer, sample("a cat", choices=choices)) is bool(expected)


def test_an_option_that_is_a_letter_or_there_twice_goes_by_its_letter():
    assert chosen_option("B", ("B", "A")) == 0  # the text comes first
    assert chosen_option("red", ("red", "red")) is None
    assert chosen_option("B", ("red", "red")) == 1


def test_the_judge_that_fits_a_question():
    options = sample("a cat", choices=("a dog", "a cat"))
    assert judge_for("auto", options, "choices") == "option-letter"
    assert judge_for("auto", options, "open") == "normalised"
    assert judge_for("auto", sample("No."), "choices") == "yes-no"
    assert judge_for("auto", sample(), "open") == "normalised"
    assert judge_for("exact", options, "choices") == "exact"
    assert judge_for("auto", sample(*["red"] * 10), "open") == "consensus"
    assert judge_for("auto", sample(*["no"] * 10), "open") == "yes-no"


def test_a_sample_names_the_judge_of_its_authors():
    paragraph = replace(sample("A red car stands before a house."), judge="none")
    assert judge_answer("A red car stands before a house.", paragraph) == Verdict("none", None)
    assert judge_answer("A red car stands before a house.", paragraph, judge="exact") == Verdict("exact", True)
    letters = replace(sample("a cat", choices=("a dog", "a cat")), judge="option-letter")
    assert judge_answer("B", letters, style="choices") == Verdict("option-letter", True)
    assert judge_answer("a cat", letters, style="open") == Verdict("normalised", True)  # no letters were shown


def test_a_judge_that_does_not_exist():
    check_judge("auto")
    with pytest.raises(InputError, match=r"unknown judge 'jury'; valid: auto, exact, .*, yes-no, consensus, none"):
        check_judge("jury")


def pair(group, *verdicts, status="ok"):
    return [
        {"sample": f"{group}{place}", "group": group, "correct": verdict, "status": status}
        for place, verdict in enumerate(verdicts)
    ]


def test_a_pair_is_right_when_both_answers_are():
    rows = [*pair("a", True, True), *pair("b", True, False), *pair("c", True, None), *pair("d", None, False)]
    rows += [*pair("e", True), *pair("f", None, True, status="error"), *pair(None, True, True)]
    assert group_verdicts(rows) == {"a": True, "b": False, "c": None, "d": False, "e": None, "f": False}


def test_the_rows_of_several_methods_are_one_answer():
    assert group_verdicts(pair("a", True) * 2) == {"a": None}
    assert group_verdicts(pair("a", True, True, True), size=3) == {"a": True}
