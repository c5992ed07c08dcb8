"""Options inside a text."""

from __future__ import annotations

import pytest

from wherelook.data.readers.options import choice_flags, chosen, marked_options, split_options


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("(a) Open (b) Closed", ("Open", "Closed")),
        ("(a) Facing the camera (b) Facing away, to the left", ("Facing the camera", "Facing away, to the left")),
        ("(a) In a (red) bag (b) On it", ("In a (red) bag", "On it")),
        ("A: a cat, B: a dog, C: cats, dogs", ("a cat", "a dog", "cats, dogs")),
        ("\n(A) 5 cm\n(B) 1.5 cm", ("5 cm", "1.5 cm")),
        ("A. It is red.\nB. It is blue.", ("It is red.", "It is blue.")),
        ("A: yes", ()),  # one option is none
        ("none at all", ()),
        ("see A: x, B: y", ()),  # what stands before the first is no option
        ("", ()),
    ],
)
def test_marked_options(text, options):
    assert marked_options(text) == options


def test_options_follow_the_last_header():
    text = "Which choices: here?\nOptions: A: The bag is on the book., B: The bag is under the cat."
    assert split_options(text) == ("Which choices: here?", ("The bag is on the book.", "The bag is under the cat."))


@pytest.mark.parametrize("text", ["What is it?", "What options: are there?", "Adoptions: A: x, B: y"])
def test_a_question_without_options_stays(text):
    assert split_options(text) == (text, ())


@pytest.mark.parametrize(
    ("letter", "text"), [("(b)", "y"), ("B", "y"), (" b. ", "y"), ("(c)", None), ("", None), ("AB", None)]
)
def test_the_option_of_a_letter(letter, text):
    assert chosen(("x", "y"), letter) == text


def test_equal_options_are_flagged():
    assert choice_flags(("x", "x")) == ("repeated choice",)
    assert choice_flags(("x", "y")) == ()
