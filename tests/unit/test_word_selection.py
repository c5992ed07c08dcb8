"""Which words of an answer `--tokens` names."""

from __future__ import annotations

import pytest

from wherelook.errors import InputError
from wherelook.word_selection import named_words
from wherelook.words import find_words

CARS = "The red car and the Red bus passed a red car."
#        0   1   2   3   4   5   6    7     8 9   10
CHINESE = "\u7ea2\u8272\u7684\u6c7d\u8f66\u505c\u5728\u7ea2\u8272\u7684\u95e8\u524d"
#          0 red        1 of  2 car        3 stands    4 red      5 of  6 door, 7 before, by the dictionary


def named(wanted: str, answer: str) -> list[int]:
    return sorted(named_words(wanted, find_words(answer)))


@pytest.mark.parametrize(
    ("wanted", "answer", "places"),
    [
        ("red", CARS, [1, 5, 9]),
        ("red car", CARS, [1, 2, 9, 10]),  # the phrase, not every red
        ("car red", CARS, [1, 2, 5, 9, 10]),  # no such phrase: the words
        ("RED bus", CARS, [5, 6]),
        ("red, bus!", CARS, [5, 6]),
        ("red#1", CARS, [1]),
        ("red#2", CARS, [5]),
        ("red#3", CARS, [9]),
        ("red car#2", CARS, [9, 10]),
        ("red#2 car#1", CARS, [2, 5]),
        ("bus the#1", CARS, [0, 6]),
        ('"red car"#1 bus', CARS, [1, 2, 6]),
        ('"red car" "red bus"', CARS, [1, 2, 5, 6, 9, 10]),
        ('"all"', "all the cars, all red", [0, 3]),
        ("aren't", "They aren\u2019t red", [1]),
        ("aren\u2019t", "They aren't red", [1]),
        ("caf\u00e9", "a cafe\u0301", [1]),
        ("\uff23\uff21\uff34", "a cat", [1]),  # full width
        ("stra\u00dfe", "DIE STRASSE", [1]),
        ("1,234.5", "It is 1,234.5 m", [2]),
        ("C", "C, C++ and C#", [0]),
        ("C++", "C, C++ and C#", [1]),
        ("C##1", "C, C++ and C#", [3]),
        ("-5", "5 or -5", [2]),
        ("\u2192", "left \u2192 up", [1]),
        ("\U0001f436", "a \U0001f436\U0001f431", [1]),
        ("\u2764", "\u2764\ufe0f yes", [0]),
        ("red 2", "red 2 cars, red 3", [0, 1]),
        ("\u6c7d\u8f66", CHINESE, [2]),
        ("\u7ea2\u8272", CHINESE, [0, 4]),
        ("\u7ea2\u8272#2", CHINESE, [4]),
        ("\u7ea2\u8272\u7684\u6c7d\u8f66", CHINESE, [0, 1, 2]),
        ("\u8272\u7684\u6c7d", CHINESE, [0, 1, 2]),  # a part of the text: the words that hold it
        ("\u6c7d", CHINESE, [2]),
        ("\u0e41\u0e14\u0e07", "\u0e2a\u0e38\u0e19\u0e31\u0e02\u0e2a\u0e35\u0e41\u0e14\u0e07", [2]),
    ],
)
def test_what_is_named(wanted, answer, places):
    assert named(wanted, answer) == places


@pytest.mark.parametrize(
    ("wanted", "answer", "error"),
    [
        ("dog", "A cat.", r"^tokens 'dog': 'dog' is not a word of the answer; valid: auto, all, or words of the ans"),
        ("cat dog", "A cat.", r"'dog' is not a word of the answer"),
        ('"red bus"', "a red car, a bus", r"'red bus' is not a phrase of the answer"),
        ("1,234", "It is 1,234.5", r"'1,234' is not a word of the answer; did you mean '1,234\.5'\?"),
        ("red#4", CARS, r"'red' is 3 times in the answer; valid: red#1 to #3$"),
        ("bus#2", CARS, r"'bus' is once in the answer; valid: bus#1$"),
        ("red#0", CARS, r"'0' is not a word of the answer"),
        (" ! ", "A cat", r"that names no word; valid: auto, all, or words of the answer: A cat$"),
        ("", "A cat", r"that names no word"),
        ("cat", "!", r"\(it has none\)"),
        ("\u72d7", CHINESE, r"is not a word of the answer"),
        ("x", " ".join(f"w{number}" for number in range(60)), r"w39 \.\.\.$"),
    ],
)  # fmt: skip
def test_what_is_not_there(wanted, answer, error):
    with pytest.raises(InputError, match=error):
        named(wanted, answer)
