"""Answers as letters, numbers and texts."""

from __future__ import annotations

import json

import pytest

from wherelook.data.datasets import read_samples
from wherelook.data.readers.answers import by_letter, infer_answer_format, named_option, reference_of
from wherelook.errors import InputError, WherelookError

OPTIONS = by_letter(["red", "blue", "2", "green"])


@pytest.mark.parametrize(
    ("answer", "form", "text"),
    [
        ("B", "letter", "blue"), ("(b)", "letter", "blue"), ("0", "index", "red"), ("3", "index", "green"),
        ("1", "index1", "red"), ("4", "index1", "green"), ("2", "text", "2"), ("2", "index", "2"),
        ("2", "index1", "blue"),
    ],
)  # fmt: skip
def test_an_answer_in_a_form_that_is_known(answer, form, text):
    assert named_option(answer, OPTIONS, form, "here") == text
    assert reference_of(answer, OPTIONS, form, "here") == text


@pytest.mark.parametrize(
    ("answer", "form", "expected"),
    [
        ("E", "letter", "a letter of A, B, C, D"), ("4", "index", "a number from 0 to 3"),
        ("-1", "index", "from 0 to 3"), ("0", "index1", "a number from 1 to 4"), ("x", "index", "from 0 to 3"),
        ("pink", "text", "the text of an option"),
        ("9" * 5000, "index", "from 0 to 3"), ("\N{SUPERSCRIPT TWO}", "index", "from 0 to 3"),
    ],
)  # fmt: skip
def test_an_answer_that_names_no_option(answer, form, expected):
    with pytest.raises(WherelookError, match=f"here: answer .* names none of the 4 options; expected .*{expected}"):
        named_option(answer, OPTIONS, form, "here")


PLAIN = by_letter(["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("answers", "form"),
    [
        ([("0", PLAIN), ("2", PLAIN)], "index"),
        ([("1", PLAIN), ("4", PLAIN)], "index1"),
        ([("7", by_letter(["7", "9"]))], "text"),
        ([("0", by_letter(["0", "1"]))], "text"),  # the option and its number are the same
        ([("B", PLAIN)], None),
        ([("red", PLAIN), ("1", PLAIN)], None),
        ([], None),
    ],
)
def test_the_form_that_numbers_can_only_have(answers, form):
    assert infer_answer_format(answers, "t") == form


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([("1", PLAIN), ("2", PLAIN)], "index or index1"),
        ([("1", by_letter(["2", "1"]))], "text or index or index1"),
        ([("2", by_letter(["2", "3", "4"]))], "text or index or index1"),
    ],
)
def test_numbers_that_can_be_several_things(answers, told):
    with pytest.raises(InputError, match=f"t: answers are numbers, such as .* can be {told}: say which, with ,answer_"):
        infer_answer_format(answers, "t")


def table(build, *rows: dict[str, object]) -> str:
    build.image("a.png")
    rows = tuple({"image": "a.png", "question": "?", "choices": ["a", "b", "c"]} | row for row in rows)
    build.text("t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return f"table:{build.root / 't.jsonl'}"


def test_whole_numbers_of_a_table(build):
    samples = list(read_samples(table(build, {"answer": 0}, {"answer": 2}, {"answer": 1})))
    assert [sample.reference for sample in samples] == ["a", "c", "b"]
    with pytest.raises(InputError, match="can be index or index1"):
        read_samples(table(build, {"answer": 1}, {"answer": 2}))
    for form, expected in (("index", ["b", "c"]), ("index1", ["a", "b"])):
        samples = list(read_samples(f"{table(build, {'answer': 1}, {'answer': 2})},answer_format={form}"))
        assert [sample.reference for sample in samples] == expected
    with pytest.raises(InputError, match="unknown answer_format 'number'; valid: text, letter, index, index1"):
        read_samples(f"{table(build, {'answer': 1})},answer_format=number")


def test_an_answer_beyond_the_options_is_an_error_of_its_row(build):
    good, wrong, text = read_samples(f"{table(build, {'answer': 2}, {'answer': 3}, {'answer': 0})},answer_format=index")
    assert (good.reference, text.reference) == ("c", "a")
    with pytest.raises(WherelookError, match="line 2: answer '3' names none of the 3 options"):
        _ = wrong.image


def test_a_text_that_is_no_option_is_flagged(build):
    good, wrong = read_samples(table(build, {"answer": "B"}, {"answer": "none of them"}))
    assert (good.reference, good.flags) == ("b", ())
    assert (wrong.reference, wrong.flags) == ("none of them", ("answer is no option",))


def test_options_in_columns(build):
    """A, B and so on are found; others are named."""
    build.image("a.png")
    build.csv("t.csv", [("image", "question", "A", "B", "C", "answer"), ("a.png", "?", "x", "y", "", "B")])
    (sample,) = read_samples(f"table:{build.root / 't.csv'}")
    assert (sample.choices, sample.reference) == (("x", "y"), "y")
    build.csv("t.csv", [("image", "question", "one", "two", "answer"), ("a.png", "?", "x", "y", "A")])
    (sample,) = read_samples(f"table:{build.root / 't.csv'},choices=one+two")
    assert (sample.choices, sample.reference) == (("x", "y"), "x")


def test_several_images_of_a_question(build):
    build.image("a.png", (1, 2, 3))
    build.image("b.png", (4, 5, 6))
    build.csv("t.csv", [("first", "second", "question"), ("a.png", "b.png", "?"), ("a.png", "", "?")])
    both, one = read_samples(f"table:{build.root / 't.csv'},image=first+second")
    assert [image.pixels[0, 0].tolist() for image in both.images] == [[1, 2, 3], [4, 5, 6]]
    assert both.image.size[1] > both.images[0].size[1]  # side by side
    assert [image.pixels[0, 0].tolist() for image in one.images] == [[1, 2, 3]]
