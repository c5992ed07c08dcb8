"""Tokens are told from their texts, as servers decode them one by one."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from wherelook.models.endpoint.alignment import align, answer_length

P = "\ufffd"


@pytest.mark.parametrize(
    ("texts", "answer", "parts"),
    [
        (["A", " red", " car", "."], "A red car.", ["A", " red", " car", "."]),
        (["A", "red", "car", "."], "A red car.", ["A", " red", " car", "."]),  # leading spaces lost in decoding
        ([" A", " r", "ed"], "A red", ["A", " r", "ed"]),
        (["A", " ", "red"], "A red", ["A", "", " red"]),
        ([P, P, " b"], "\u00e9 b", ["", "\u00e9", " b"]),  # two parts of one character
        (["a", P, P, "", P, "b"], "a\u732b\u72acb", ["a", "", "", "", "\u732b\u72ac", "b"]),
        (["x", P, P], "x\u00e9", ["x", "", "\u00e9"]),
        (["x", P, P, ""], "x\u00e9", ["x", "", "\u00e9", ""]),
        (["one\n", "two"], "one\n\ntwo", ["one", "\n\ntwo"]),
    ],
)
def test_the_parts_of_an_answer(texts, answer, parts):
    found = align(texts, answer)
    assert found == parts
    assert "".join(found) == answer


@pytest.mark.parametrize(
    ("texts", "answer"),
    [
        (["A", "red"], "A blue"),
        (["A", "red", "car"], "A red"),
        (["A"], "A red"),
        ([], "A"),
        (["A", P], "A"),
        ([P, "b"], "b"),
        ([P, "c"], "\u00e9b"),
    ],
)
def test_tokens_of_something_else(texts, answer):
    assert align(texts, answer) is None


@given(st.text(min_size=1), st.data())
def test_any_cut_of_any_answer_is_found(text, data):
    answer = text.replace(P, "").strip()
    if not answer:
        return
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=6)))
    texts = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    found = align(texts, answer)
    assert found is not None
    assert "".join(found) == answer
    assert ["".join(part.split()) for part in found] == ["".join(part.split()) for part in texts]


@pytest.mark.parametrize(
    ("texts", "answer", "count"),
    [
        (["Is", " it", " red", "?", "\n", "A", " red", " car"], "A red car", 3),
        (["red", "red"], "red", 1),
        (["<s>", "USER", ":", "r", "ed"], "red", 2),
        (["q", "", "red", ""], "red", 2),
        (["q", P, P], "\u00e9", 2),
        (["q", "a", P, P, P], "a\u732b", 4),
        (["red", "."], "red", None),
        (["redder"], "red", None),
        ([], "red", None),
    ],
)
def test_the_answer_at_the_end_of_a_prompt(texts, answer, count):
    assert answer_length(texts, answer) == count
