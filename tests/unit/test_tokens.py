"""Words from token pieces, and which of them an explanation is about."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherelook.errors import InputError
from wherelook.score import Token
from wherelook.tokens import holds_words, judge, measure_reliance, select, selected_words, word_indices

# ---- words ----


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (["The", " car", " is", " red", "."], [0, 1, 2, 3, None]),
        (["yes"], [0]),
        ([" un", "believ", "able", "!"], [0, 0, 0, None]),
        (["A", ",", " ", "B", "\n\n"], [0, None, None, 1, None]),
        (["It", "'", "s", " don", "\u2019t", " '", "ok", "'"], [0, 0, 0, 1, 1, None, 2, None]),
        (["left", "-", "hand", " side", " -", " 3", ".", "5", " m", "."], [0, 0, 0, 1, None, 2, 2, 2, 3, None]),
        (["na\u00ef", "ve"], [0, 0]),
        # Three bytes of one character: the parts that complete nothing go with the one that does.
        ([" caf", "", "\u00e9", " x"], [0, 0, 0, 1]),
        (["", "", "\u8f66", "\u662f", "\u7ea2\u8272"], [0, 0, 0, 1, 2]),
        # A token that spans two words joins them; what follows is a word of its own.
        (["New York", " City", "Hall"], [0, 1, 1]),
        (["ice", " cream cone", "s"], [0, 1, 1]),
        (["", ""], [None, None]),
        # Symbols are words; what belongs to a character goes with it.
        (["\u2192"], [0]),
        (["", "", "", "\U0001f436", "."], [0, 0, 0, 0, None]),
        (["\u2764", "\ufe0f", " ", "\ufe0f"], [0, 0, None, None]),
        (["\U0001f468", "\u200d", "\U0001f467", "\U0001f436"], [0, 0, 0, 1]),
        (["\u0e2a\u0e38", "\u0e19\u0e31\u0e02", "\u0e2a\u0e35"], [0, 0, 1]),
        (["?!", "..."], [None, None]),
        (["_", "x", "_"], [None, 0, None]),
        ([], []),
    ],
)
def test_words_of_pieces(pieces, words):
    assert word_indices(pieces) == words


@given(st.lists(st.text(alphabet="ab' -.\u8f66\u00e9", max_size=4), max_size=8))
def test_however_a_text_is_cut_its_words_are_numbered_in_order(pieces):
    words = word_indices(pieces)
    assert len(words) == len(pieces)
    seen = [word for word in words if word is not None]
    assert seen == sorted(seen)
    assert sorted(set(seen)) == list(range(len(set(seen))))
    for piece, word in zip(pieces, words, strict=True):
        if any(character.isalnum() for character in piece):
            assert word is not None
        elif piece and not piece.strip():
            assert word is None


@given(st.text(alphabet="ab c", min_size=1, max_size=12), st.data())
def test_cutting_finer_never_changes_the_words(text, data):
    """One token per word or per character: the same words."""
    characters = word_indices(list(text))
    count = len(set(characters) - {None})
    assert count == len(text.split())
    cut = data.draw(st.integers(0, len(text)))
    halves = word_indices([text[:cut], text[cut:]])
    assert len(set(halves) - {None}) <= count


# ---- selection ----


def choose(pieces, ratios, *, flips=None, **options) -> tuple[Token, ...]:
    log_prob = [-0.1] * len(pieces)
    return select(
        pieces,
        list(range(10, 10 + len(pieces))),
        log_prob,
        [value - ratio for value, ratio in zip(log_prob, ratios, strict=True)],
        flips or [False] * len(pieces),
        **options,
    )


def selected(*arguments, **options) -> list[bool]:
    return [token.selected for token in choose(*arguments, **options)]


def test_a_word_counts_by_the_sum_of_its_tokens():
    pieces = ["The", " el", "eph", "ant", " is", " gray", "."]
    assert selected(pieces, [0, 0.6, 0.6, -0.1, 0.9, 1.01, 5]) == [False, True, True, True, False, True, False]
    # By the chain rule a part that gains can be outweighed: the word as a whole does not pass.
    assert selected([" el", "ephant"], [1.5, -0.6]) == [False, False]


def test_the_threshold_is_alpha_and_is_not_reached_by_equality():
    assert selected(["one", " two"], [0.5, 0.5000001], alpha=0.5) == [False, True]
    assert selected(["one", " two"], [0.0, 1e-9], alpha=0.0) == [False, True]


@pytest.mark.parametrize(
    ("ratio", "flip", "alpha", "expected"),
    [
        (0.69, True, 1.0, True),  # a guess between two answers costs ln 2 at most
        (0.69, False, 1.0, False),
        (0.2, True, 1.0, True),
        (0.19, True, 1.0, False),
        (-2.0, True, 1.0, False),
        (0.1, True, 0.05, True),  # above alpha anyway
        (0.05, True, 0.05, True),  # a smaller alpha lowers the floor
    ],
)
def test_a_flipped_word_needs_less(ratio, flip, alpha, expected):
    pieces = ["no"]
    tokens = select(pieces, [1], [0.0], [-ratio], [flip], alpha=alpha)  # zero, so that the ratio is exact
    assert tokens[0].selected is expected
    assert tokens[0].flips is flip


def test_one_flipped_token_carries_its_word_and_no_other():
    assert selected([" el", "ephant", " gray"], [0.1, 0.2, 0.3], flips=[False, True, False]) == [True, True, False]


def test_one_token_answers_and_first_tokens_follow_the_same_rule():
    assert selected(["Red"], [1.1]) == [True]
    assert selected(["Red"], [0.9]) == [False]
    assert selected(["Red", " car"], [1.1, 0]) == [True, False]


@pytest.mark.parametrize("wanted", ["auto", "all"])
def test_punctuation_and_special_tokens_are_never_selected(wanted):
    assert selected(["...", "", "!"], [9, 9, 9], flips=[True] * 3, wanted=wanted) == [False] * 3


def test_all_takes_every_word_and_nothing_else():
    assert selected(["A", " cat", "."], [-1, 0, 9], wanted="all") == [True, True, False]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("cat", [0, 1, 1, 0, 0, 1, 0]),  # every occurrence, with all its tokens
        ("CAT the", [1, 1, 1, 0, 0, 1, 0]),
        ("saw, cat!", [0, 1, 1, 1, 0, 1, 0]),
        ("STRASSE", [0, 0, 0, 0, 1, 0, 0]),
    ],
)
def test_named_words(wanted, expected):
    pieces = ["The", " c", "at", " saw", " stra\u00dfe", " Cat", "."]
    assert selected(pieces, [0] * 7, wanted=wanted) == [bool(value) for value in expected]


def test_each_word_in_a_joining_token_can_be_named():
    pieces = ["New York", " City"]
    assert selected(pieces, [0, 0], wanted="york") == [True, False]
    assert selected(pieces, [0, 0], wanted="new") == [True, False]


def test_named_words_must_be_in_the_answer():
    with pytest.raises(
        InputError, match=r"'dog' is not a word of the answer; valid: auto, all, or words of the answer: A cat$"
    ):
        choose(["A", " cat", "."], [0, 0, 0], wanted="cat dog")
    with pytest.raises(InputError, match="names no word; valid: auto, all, or words of the answer: A cat"):
        choose(["A", " cat"], [0, 0], wanted=" ! ")
    with pytest.raises(InputError, match=r"\(it has none\)"):
        choose(["!"], [0], wanted="cat")


@pytest.mark.parametrize("symbol", ["\u2192", "+", "\U0001f436", "%", "\u2665"])
def test_an_answer_of_a_symbol_can_be_visually_grounded(symbol):
    tokens = choose(["", symbol, "."], [1.5, 2.0, 4.0])
    reliance = measure_reliance(tokens, alpha=1.0, baseline="blur")
    assert [token.selected for token in tokens] == [True, True, False]
    assert (reliance.score, reliance.strongest_word) == (pytest.approx(1 - math.exp(-3.5)), symbol)
    assert judge(tokens, reliance, "auto")[0] == "ok"


def test_a_phrase_is_selected_where_it_stands():
    pieces = ["The", " red", " bus", ",", " a", " red", " car"]
    assert selected(pieces, [0] * 7, wanted="red car") == [False, False, False, False, False, True, True]
    assert selected(pieces, [0] * 7, wanted="red#1") == [False, True, False, False, False, False, False]


def test_tokens_carry_their_numbers():
    (token,) = select(["Red"], [42], [-0.25], [-2.0], [True])
    assert token == Token(
        text="Red", id=42, log_prob=-0.25, log_prob_baseline=-2.0, llr=1.75, selected=True, word=0, flips=True
    )


def test_an_answer_that_the_image_contradicts_is_told_as_such():
    tokens = select(["The", " heart", " is", " red"], [1, 2, 3, 4], [-0.1, -0.1, -0.1, -10.2],
                    [-0.1, -0.1, -0.1, -3.2], [False] * 4)  # fmt: skip
    status, reason = judge(tokens, measure_reliance(tokens, alpha=1.0, baseline="blur"), "auto")
    assert status == "not_visual"
    assert reason.endswith("; the image contradicts 'red' (7.00 nats more likely without it)")


def test_words_that_an_answer_holds():
    tokens = choose([" Red", " c", "ar", " \u2192", "!"], [2, 2, 0, 2, 2])
    assert selected_words(tokens) == ["red", "car", "\u2192"]
    assert holds_words("A CAR \u2192 red", selected_words(tokens))
    assert not holds_words("a red car", selected_words(tokens))
    assert not holds_words("a red car", ["red", "red"])
    assert holds_words("it aren\u2019t", ["aren't"])
    # Among other characters a dictionary may cut differently.
    assert holds_words("\u505c\u5728\u8def\u8fb9", ["\u505c"])
    assert not holds_words("\u505c\u5728\u8def\u8fb9", ["\u505c", "\u505c"])


# ---- reliance ----


def test_reliance_in_closed_form():
    tokens = choose(["The", " el", "ephant", " is", " gray", "."], [-0.5, 1.0, 0.5, 0.3, 1.2, 7.0])
    reliance = measure_reliance(tokens, alpha=1.0, baseline="blur")
    assert reliance.score == pytest.approx(1 - math.exp(-1.5))
    assert reliance.gap == pytest.approx(1.0 + 0.5 + 1.2)
    assert (reliance.words, reliance.relevant_words) == (4, 2)
    assert reliance.strongest_word == "elephant"
    assert (reliance.alpha, reliance.baseline) == (1.0, "blur")


def test_reliance_counts_what_passes_whatever_was_chosen():
    tokens = choose(["A", " red", " car"], [0.1, 2.0, 1.5], wanted="a")
    reliance = measure_reliance(tokens, alpha=1.0, baseline="mean")
    assert reliance.gap == pytest.approx(0.1)
    assert reliance.relevant_words == 2


def test_an_answer_likelier_without_the_image_does_not_rely_on_it():
    reliance = measure_reliance(choose(["Yes", "."], [-3.0, 2.0]), alpha=1.0, baseline="blur")
    assert (reliance.score, reliance.relevant_words, reliance.gap) == (0.0, 0, 0)


def test_an_answer_without_words_has_no_reliance():
    reliance = measure_reliance(choose(["?!"], [4.0]), alpha=1.0, baseline="blur")
    assert (reliance.score, reliance.words, reliance.strongest_word) == (0.0, 0, None)
