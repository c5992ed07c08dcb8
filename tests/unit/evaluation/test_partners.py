"""Who lends an image or a question to whom: what is lent differs by content."""

from __future__ import annotations

import numpy as np
import pytest

from wherelook.data.datasets import Sample, same_text
from wherelook.data.images import LoadedImage
from wherelook.data.sources import ImageFile, ImageInMemory
from wherelook.evaluation.partners import AHEAD, LookAhead, Partners


def sample(number: int, shade: int, question: str) -> Sample:
    """The bytes of equal pictures may differ, as those of a PNG and a JPEG file do."""
    pixels = np.full((2, 2, 3), shade, np.uint8)
    return Sample(f"s{number}", ImageInMemory(LoadedImage(pixels, None, f"file {number}")), question)


def partners(checked: str, more: str = "") -> tuple[list, list]:
    """Numbers of the lenders of each sample. A letter is an image, upper case another question about it."""
    samples = [sample(place, ord(letter.lower()), letter) for place, letter in enumerate(checked + more)]
    # "a" and "A" are the same question to `same_text`: what differs is said with a mark.
    samples = [Sample(one.id, one.source, f"{'What' if one.question.isupper() else 'Where'} is it?") for one in samples]
    found = Partners(samples[: len(checked)], iter(samples[len(checked) :]), "open")

    def numbers(lend) -> list:
        return [None if (lender := lend(place)) is None else int(lender.id[1:]) for place in range(len(checked))]

    return numbers(found.other_image), numbers(found.other_question)


@pytest.mark.parametrize(
    ("checked", "more", "images", "questions"),
    [
        ("aB", "", [1, 0], [1, 0]),
        ("aaab", "", [3, 3, 3, 0], [None] * 4),  # neighbors share an image
        ("aAaA", "", [None] * 4, [1, 2, 3, 0]),  # all do
        ("aA", "aaBc", [4, 4], [1, 0]),  # the first that differs is read on for
        ("aa", "a" * AHEAD + "B", [None, None], [None, None]),  # but not for ever
        ("aa", "", [None, None], [None, None]),
    ],
)
def test_what_is_lent_differs_by_content(checked, more, images, questions):
    assert partners(checked, more) == (images, questions)


def test_an_image_that_cannot_be_read_lends_nothing(tmp_path):
    broken = Sample("broken", ImageFile(tmp_path, "missing.png"), "Other?")
    found = Partners([sample(0, 1, "What?"), sample(1, 1, "What?")], iter([broken, sample(3, 2, "Which?")]), "open")
    assert [found.other_image(0).id, found.other_question(0).id] == ["s3", "s3"]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [("What is it?", "what  is\nit?", True), ("Caf\u00e9?", "Cafe\u0301?", True), ("What?", "Which?", False)],
)
def test_the_same_words_are_no_other_question(first, second, same):
    assert same_text(first, second) == same


@pytest.mark.parametrize(
    ("letters", "lent"),
    [("ab", [1, None]), ("aab", [2, 2, None]), ("aBcA", [1, 2, 3, None]), ("a" * (AHEAD + 1) + "b", [None, AHEAD + 1])],
)
def test_the_next_other_image_is_lent_if_it_comes_soon(letters, lent):
    ahead = LookAhead(sample(place, ord(letter.lower()), letter) for place, letter in enumerate(letters))
    found = [(one.id, ahead.other_image(one)) for one in ahead]
    assert [name for name, _ in found] == [f"s{place}" for place in range(len(letters))]
    assert [None if other is None else int(other.id[1:]) for _, other in found][: len(lent)] == lent


def test_no_more_samples_are_read_than_needed():
    read = []

    def samples():
        for place in range(9):
            read.append(place)
            yield sample(place, place, "What?")

    ahead = LookAhead(samples())
    first = next(iter(ahead))
    assert read == [0]
    assert ahead.other_image(first).id == "s1"
    assert read == [0, 1]


def test_a_sample_whose_image_cannot_be_read_is_lent_nothing(tmp_path):
    broken = Sample("broken", ImageFile(tmp_path, "missing.png"), "What?")
    assert LookAhead([sample(0, 1, "What?")]).other_image(broken) is None
