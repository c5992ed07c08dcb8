"""The form in which short answers are compared."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherelook.evaluation.normalization import normal_form, same_answer


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the TWO dogs!", "2 dogs"),
        ("It's an apple", "it\u2019s apple."),
        ("1,000", "1000"),
        ("$1,000,000", "$1000000"),
        ("twenty-one", "21"),
        ("Twenty one", "21"),
        ("one hundred and five", "105"),
        ("a hundred", "100"),
        ("two thousand and twenty-six", "2026"),
        ("three hundred thousand", "300,000"),
        ("1.5 million", "1500000"),
        ("minus five", "-5"),
        ("\u22125", "-5"),
        ("50%", "50 percent"),
        ("fifty per cent", "50 %"),
        ("5cm", "5 cm"),
        ("20\u00b0C", "20 \u00b0C"),
        ("left-hand", "left hand"),
        ("U.S.A.", "USA"),
        ("R & B", "R and B"),
        ("**red**", "red"),
        ('"Stop"', "stop"),
        ("Nike\u2122", "Nike"),
        ("\uff22", "b"),
        ("cafe\u0301", "caf\u00e9"),
        ("H\u2082O", "H2O"),
        ("x\u00b2", "x^2"),
        ("\u00bd", "1/2"),
        ("1\u00bd", "1 1/2"),
        ("\u2764\ufe0f", "\u2764"),
        ("12:30pm", "12:30 PM"),
        ("hepatitis a virus", "Hepatitis A virus"),
        ("\u7ea2\u8272\u7684\u6c7d\u8f66\u3002", "\u7ea2\u8272\u7684\u6c7d\u8f66"),
        ("  red\n car ", "red car"),
    ],
)
def test_the_same_answers(one, other):
    assert same_answer(one, other)
    assert same_answer(other, one)


DIFFERENT = (
    ("A", "B", "+", "-", "\u2192", "\u2190", "?", "!", "...", "*", "#", "1", "0"),
    ("5", "-5", "+5", "5%", "$5", "\u20ac5", "5\u2032", "5\u2033", "#5", "\u2460"),
    ("C", "C++", "C#", "C-", "C+"),
    ("1.5", "15", "1,5", "1 5", "1:5", "1/5", "1-5"),
    (
        "\U0001f436",
        "\U0001f431",
        "\u2764",
        "\U0001f44d",
        "\U0001f44d\U0001f3fd",
        "\U0001f1e9\U0001f1ea",
        "\U0001f1eb\U0001f1f7",
    ),
    ("\u0915\u093f", "\u0915\u0940", "\u0915\u0941", "\u0915"),  # Hindi ki, kii, ku, ka
    ("cafe", "caf\u00e9", "naive", "na\u00efve"),
    ("x2", "x\u00b2", "x\u00b3", "x"),
    ("vitamin A", "vitamin B", "vitamin"),
    ("A B", "B", "A, B", "B A"),
    ("one", "two", "twenty", "twenty one", "twenty two", "one two"),
    ("A", "A+", "A-", "AB", "AB-"),
    ("\u7ea2", "\u84dd", "\u7ea2\u84dd", "\u7ea2\u3001\u84dd"),
    ("no", "none", "not", "No. 7", "No. 9"),
    ("<", ">", "=", "<=", "!="),
)


@pytest.mark.parametrize("answers", DIFFERENT)
def test_what_tells_answers_apart_is_kept(answers):
    equal = {pair for pair in itertools.combinations(answers, 2) if same_answer(*pair)}
    assert equal <= {("A, B", "A B"), ("A B", "A, B")}  # a comma between words does not count


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.text(st.characters(), max_size=20))
def test_only_white_space_leaves_nothing(text):
    assert (normal_form(text) == "") == (text.strip() == "" or not text.split())
    assert same_answer(text, text)


def spelled(number: int) -> str:
    """A number below a million in English words, as schools teach it."""
    ones = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
    ]
    ones += ["seventeen", "eighteen", "nineteen"]
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    if number < 20:
        return ones[number]
    if number < 100:
        return tens[number // 10 - 2] + (f"-{ones[number % 10]}" if number % 10 else "")
    if number < 1000:
        return f"{ones[number // 100]} hundred" + (f" and {spelled(number % 100)}" if number % 100 else "")
    rest = number % 1000
    return f"{spelled(number // 1000)} thousand" + (f" {spelled(rest)}" if rest else "")


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.integers(0, 999_999))
def test_numbers_in_words_and_in_groups(number):
    assert normal_form(spelled(number)) == normal_form(f"{number:,}") == str(number)
    assert normal_form(f"{spelled(number)} dogs") == f"{number} dogs"
    assert normal_form(spelled(number).replace("-", " ").replace(" and ", " ")) == str(number)
