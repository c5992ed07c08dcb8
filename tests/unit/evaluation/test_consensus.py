"""The soft accuracy of ten people's answers, by its definition."""

from __future__ import annotations

import itertools

import pytest

from wherelook.evaluation.consensus import plain, soft_accuracy


@pytest.mark.parametrize(("agree", "value"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_what_an_answer_is_worth_by_how_many_gave_it(agree, value):
    people = ["coca cola"] * agree + [f"other {number}" for number in range(10 - agree)]
    assert soft_accuracy("Coca Cola", people) == pytest.approx(value)


def test_it_is_the_mean_over_all_ways_to_leave_one_person_out():
    people = ["7"] * 3 + ["seven up"] * 7
    ways = [min(sum(one == "7" for one in nine) / 3, 1) for nine in itertools.combinations(people, 9)]
    assert soft_accuracy("seven", people) == pytest.approx(sum(ways) / len(ways))


def test_fewer_than_ten_references_are_not_people():
    assert soft_accuracy("red", ["red"] * 9) is None
    assert soft_accuracy("red", []) is None


@pytest.mark.parametrize(
    "answers", [("A", "the", "+", "-", "\u2192"), ("-5", "5", "+5"), ("c", "C++", "C#"), ("?", "!")]
)
def test_answers_that_differ_are_worth_nothing_to_each_other(answers):
    for one, other in itertools.permutations(answers, 2):
        assert soft_accuracy(one, [other] * 10) == 0
        assert soft_accuracy(one, [one] * 10) == 1


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("The Dog.", "dog"),
        ("  two\n dogs ", "2 dogs"),
        ("none", "0"),
        ("Yes, it is", "yes it is"),
        ("red/blue", "red blue"),
        ("red, blue/green", "red blue green"),
        ("1,000", "1000"),
        ("3.5 m.", "3.5 m"),
        ("dont", "don't"),
        ("don't", "don't"),
        ("it\N{RIGHT SINGLE QUOTATION MARK}s", "it's"),
        ("its", "its"),
        ("were", "were"),
        ("-5", "-5"),
        ("C++", "c++"),
        ("A+", "a+"),
        ("A", "a"),
        ("+", "+"),
        ("?!", "?!"),
        ("red-blue", "red blue"),
        ("eleven", "eleven"),
        ("", ""),
    ],
)
def test_the_form_in_which_answers_are_compared(text, form):
    assert plain(text) == form
