"""Rules that tell whether an answer is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherelook.data.datasets import Sample
from wherelook.data.images import load_image
from wherelook.data.sample import UNREAD_CHOICES
from wherelook.data.sources import ImageInMemory
from wherelook.errors import InputError
from wherelook.evaluation.judges import (
    JUDGES,
    Verdict,
    check_judge,
    group_verdicts,
    judge_answer,
    judge_for,
    right_options,
)


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
        ("normalized", "the TWO dogs!", ("2 dogs",), True),
        ("normalized", "It's an apple", ("it\N{RIGHT SINGLE QUOTATION MARK}s apple.",), True),
        ("normalized", "three dogs", ("2 dogs", "Three dogs."), True),
        ("normalized", "dog", ("dogs",), False),
        ("normalized", "", ("dogs",), False),
        ("normalized", "twelve", ("12",), True),
        ("normalized", "1.5", ("15",), False),
        ("normalized", "B", ("A",), False),
        ("normalized", "\u2192", ("+",), False),
        ("normalized", "no smoking", ("no parking",), False),
        ("normalized", "No. 9", ("No. 7",), False),
        ("normalized", "yes", ("Yes Bank",), False),
        ("normalized", "twenty-one", ("21",), True),
        ("normalized", "1,000", ("1000",), True),
        ("normalized", "?", ("!",), False),
        ("normalized", "dogs", (), None),
        ("yes-no", "Yes, there is.", ("yes",), True),
        ("yes-no", "Yes, there is.", ("no",), False),
        ("yes-no", "There is nothing.", ("no",), True),
        ("yes-no", "Not at all", ("No.",), True),
        ("yes-no", "**yes**", ("Yes", "yes."), True),
        ("yes-no", "I cannot tell.", ("no",), None),
        ("yes-no", "No.", ("Yes, a dog.",), None),  # no reference that is yes or no
        ("yes-no", "no smoking", ("no parking",), None),
        ("yes-no", "yes", ("yes", "no"), None),
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


ANIMALS = ("a dog", "a cat", "a parrot")


@pytest.mark.parametrize(
    ("answer", "right"),
    [("B", True), ("The answer is (B).", True), ("A cat.", True), ("A", False), ("a dog", False), ("D", None), ("",
    None),
     ("A and B", None), ("I cannot tell.", None)],
)  # fmt: skip
def test_an_answer_that_names_no_option_has_no_verdict(answer, right):
    assert JUDGES["option-letter"](answer, sample("a cat", choices=ANIMALS)) is right


def test_the_options_that_are_right():
    assert right_options(sample("a cat", choices=ANIMALS)) == {1}
    assert right_options(sample("A cat.", choices=ANIMALS)) == {1}
    assert right_options(sample("red", choices=("red", "blue", "red"))) == {0, 2}
    assert right_options(sample("a cat", "a dog", choices=ANIMALS)) == {0, 1}
    assert right_options(sample("-5", choices=("5", "-5"))) == {1}


@pytest.mark.parametrize("reference", ["1", "a fish", "7"])
def test_a_reference_that_is_no_option_gives_no_verdict(reference):
    """An index that was read as a text, say: never compared with the letters."""
    lost = sample(reference, choices=ANIMALS)
    assert right_options(lost) == set()
    for answer in ("B", "a cat", reference):
        assert judge_answer(answer, lost, style="choices") == Verdict("option-letter", None)


def test_options_that_could_not_be_told_apart_are_judged_by_letter():
    unread = replace(sample("B"), flags=(UNREAD_CHOICES,))
    assert judge_answer("(B) a cat", unread) == Verdict("option-letter", True)
    assert judge_answer("The answer is C.", unread) == Verdict("option-letter", False)
    assert judge_answer("a cat", unread) == Verdict("option-letter", None)


def test_the_judge_that_fits_a_question():
    options = sample("a cat", choices=("a dog", "a cat"))
    assert judge_for("auto", options, "choices") == "option-letter"
    assert judge_for("auto", options, "open") == "normalized"
    assert judge_for("auto", sample("No."), "choices") == "yes-no"
    for reference in ("no parking", "No. 7", "Yes Bank", "Norway", "yes and no", "No, a cat."):
        assert judge_for("auto", sample(reference), "open") == "normalized"
    assert judge_for("auto", sample(*["yes"] * 9, "no"), "open") == "consensus"
    assert (
        judge_for("auto", sample("The picture shows a long street with many red houses on both of its sides."), "open")
        == "none"
    )
    assert judge_for("auto", sample(), "open") == "normalized"
    assert judge_for("exact", options, "choices") == "exact"
    assert judge_for("auto", sample(*["red"] * 10), "open") == "consensus"
    assert judge_for("auto", sample(*["no"] * 10), "open") == "yes-no"


def test_a_sample_names_the_judge_of_its_authors():
    paragraph = replace(sample("A red car stands before a house."), judge="none")
    assert judge_answer("A red car stands before a house.", paragraph) == Verdict("none", None)
    assert judge_answer("A red car stands before a house.", paragraph, judge="exact") == Verdict("exact", True)
    letters = replace(sample("a cat", choices=("a dog", "a cat")), judge="option-letter")
    assert judge_answer("B", letters, style="choices") == Verdict("option-letter", True)
    assert judge_answer("a cat", letters, style="open") == Verdict("normalized", True)  # no letters were shown


def test_a_judge_that_does_not_exist():
    check_judge("auto")
    with pytest.raises(InputError, match=r"unknown judge 'jury'; valid: auto, exact, .*, yes-no, consensus, none"):
        check_judge("jury")


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    st.text(st.characters(), max_size=30)
    | st.text("ABI .()[]{}\\boxed<answer>yesno't\n*-+5,%\u7b54\u6848\u0301", max_size=60),
    st.lists(st.text(st.characters(), min_size=1, max_size=8), min_size=1, max_size=4),
)
def test_any_text_can_be_judged(answer, texts):
    for references, choices in ((texts[:1], ()), (texts[:1], tuple(texts)), (("yes",), ()), (texts[:1] * 10, ())):
        asked = sample(*references, choices=choices)
        for judge in JUDGES.values():
            assert judge(answer, asked) in (True, False, None)
        # A reference is an answer to itself, whatever it is written with.
        assert JUDGES["normalized"](references[0], asked) is True
        if len(references) == 10:
            assert JUDGES["consensus"](references[0], asked) is True


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
