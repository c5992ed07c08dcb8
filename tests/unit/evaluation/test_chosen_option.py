"""Which option an answer names; the published rules are in test_published_rules.py."""

from __future__ import annotations

from string import ascii_uppercase

import pytest

from wherelook.evaluation.options import chosen_option

ANIMALS = ("a dog", "a cat", "a parrot", "a horse")
NAMES_B = (
    "B", "b", "(b)", "(B)", "[B]", "\u3010B\u3011", "B.", "B)", "b)", "b.", "B\uff1a", "B\u3002", "\uff22", "**B**",
    "$B$", "'B'", "\"B\"", "`B`",
    "B. no cat at all", "B) a cat", "(B) a cat", "**B**: a cat", "B\uff1a\u732b", "B - a cat", "B \u2014 a cat",
    "B, because it is",
    "B\nThe dog ...", "B\n\nA. dog is not there", "B the cat", "Option B", "option (B)", "Choice B.", "the letter B",
    "The answer is B", "The answer is **B**.", "the answer is (B)", "The answer is B: a cat", "The answer is B) a cat",
    "Answer: B", "**Answer:** B", "Answer:\nB", "answer = B", "The correct option is B.",
    "The best answer is option (B).",
    "The answer should be: B", "The answer to this question is B.", "My answer: b",
    "There are whiskers, so the answer is (B).",
    "The answer is likely B.", "The answer is most likely B.", "The answer is probably (B).", "Most likely B.",
    "The answer is likely to be B.", "The answer would most likely be B", "It is probably B",
    "B is most likely correct",
    "B is the most likely answer.", "The correct option is likely B.", "The answer is most likely a cat.",
    "I choose B.", "I pick option B", "I would go with B", "I'd select (B) here", "B is correct",
    "B is the correct answer.",
    "(B) is right", "\u7b54\u6848\u662fB", "\u7b54\u6848\uff1aB", "\u9009B", "\u9009\u9879B",
    "\u9009\u62e9 B \u3002", "\u6b63\u89e3\u306fB", "It has whiskers, so B", "Thus: B",
    "\\boxed{B}", "\\boxed{\\text{(B) a cat}}", "The final answer is $\\boxed{B}$.", "<answer>B</answer>",
    "<answer>\nB. a cat\n</answer>",
    "<|begin_of_box|>B<|end_of_box|>", "[[B]]", "First A, but \\boxed{B}", "it's (B) I guess", "B</s>",
    "A. a dog\nB. a cat\nThe answer is B.", "The answer is B because A is wrong.",
    "a cat", "A cat.", "The cat", "CAT", "the answer is a cat.", "I see a cat", "It is a cat, I think.",
)  # fmt: skip
NAMES_NONE = (
    "", "?", "C and D", "C or D", "A, B", "A/B", "A and B", "Both A and B", "neither A nor B", "Options A and C",
    "The answer is A and C", "A. a dog\nB. a cat", "A. a dog B. a cat", "The answer is A. No, the answer is B.",
    "E", "Z", "(E)",
    "Not B", "The answer is probably not B.", "It is not likely B", "B is unlikely",
    "The answer is not B", "Option B is wrong", "B is not correct", "I would not choose B", "I don't know",
    "I",
    "Because it is so", "a dog and a cat", "It is a cat, not a dog.", "There is no cat", "a fish", "I am not sure.",
    "<answer></answer>", "e.g. something", "Vitamin C", "plan B for now",
)  # fmt: skip


@pytest.mark.parametrize(("answer", "place"), [*((a, 1) for a in NAMES_B), *((a, None) for a in NAMES_NONE)])
def test_the_option_that_an_answer_names(answer, place):
    assert chosen_option(answer, ANIMALS) == place


@pytest.mark.parametrize(
    ("answer", "place"),
    [("A", 0), ("a", 0), ("a.", 0), ("A. a dog", 0), ("A dog", 0), ("A dog.", 0), ("A cat", 1),
    ("A parrot is there", 2),
     ("The answer is A.", 0), ("the answer is a", 0), ("I think the answer is A dog", 0),
     ("I choose A because it barks", 0),
     ("I choose a horse", 3), ("The answer is A horse", 3), ("(a)", 0), ("(A) dog", 0), ("A: dog", 0),
     ("A, of course", 0)],
)  # fmt: skip
def test_an_article_is_no_letter(answer, place):
    assert chosen_option(answer, ANIMALS) == place


TEN = tuple(f"thing {number}" for number in range(101, 111))


@pytest.mark.parametrize(
    ("answer", "place"),
    [("I think the answer is B.", 1), ("I", 8), ("I.", 8), ("(I)", 8), ("The answer is I.", 8), ("I choose I.", 8),
     ("I choose J", 9), ("I think it is J", 9), ("I do not know", None), ("I believe it is thing 104", 3),
     ("I, too", None)],
)  # fmt: skip
def test_a_pronoun_is_no_letter(answer, place):
    assert chosen_option(answer, TEN) == place


def test_the_letter_that_the_prompt_asks_for_wins_over_options_that_are_letters():
    for place, letter in enumerate("ABC"):
        assert chosen_option(letter, ("C", "B", "A")) == place
        assert chosen_option(f"The answer is {letter}.", ("C", "B", "A")) == place


@pytest.mark.parametrize(
    ("answer", "choices", "place"),
    [
        ("red", ("red", "red"), None),
        ("B", ("red", "red"), 1),
        ("3", ("2", "3"), 1),
        ("There are 3.", ("2", "3"), 1),
        ("three", ("2", "3"), 1),
        ("-5", ("5", "-5"), 1),
        ("C++", ("C", "C++", "C#"), 1),
        ("\u2192", ("\u2190", "\u2192"), 1),
        ("a black cat", ("cat", "black cat"), 1),
        ("I see a black cat", ("cat", "black cat"), 1),
        ("Yes, it is.", ("Yes", "No"), 0),
        ("No, it is not.", ("Yes", "No"), 1),
        ("It is not.", ("Yes", "No"), 1),
        ("No cat", ("No cat", "A cat"), 0),
        ("\u7ea2\u8272\u7684", ("\u84dd\u8272", "\u7ea2\u8272"), 1),
        ("B", (), None),
        ("", ("", ""), None),
    ],
)
def test_options_of_other_kinds(answer, choices, place):
    assert chosen_option(answer, choices) == place


def test_twenty_six_options():
    choices = [f"thing {number}" for number in range(101, 127)]
    for place, letter in enumerate(ascii_uppercase):
        assert chosen_option(letter, choices) == place
        assert chosen_option(f"**{letter}.**", choices) == place
        assert chosen_option(f"The answer is {letter}.", choices) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("B " * 8_000, 1),
        ("(" * 20_000, None),
        ("A," * 4_000, None),
        ("the answer is " * 2_000, None),
        (" " * 50_000, None),
        ("\n" * 50_000, None),
        ("'" * 20_000, None),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_long_answers(text, place):
    """A pattern that backtracks would take hours."""
    assert chosen_option(text, ANIMALS) == place
