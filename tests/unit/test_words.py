"""Where the words of a text are: tables of what a reader would say, and properties over any text."""

from __future__ import annotations

import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from wherelook.words import comparable, find_words

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # man, woman, girl, joined
GERMANY, FRANCE = "\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"
THUMB = "\U0001f44d\U0001f3fd"  # with a skin tone
HEART = "\u2764\ufe0f"  # with a variation selector


def written(text: str) -> list[str]:
    return [word.text for word in find_words(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The car is red.", ["The", "car", "is", "red"]),
        ("A left-hand door; it isn\u2019t 'ok', isn't it?",
         ["A", "left-hand", "door", "it", "isn\u2019t", "ok", "isn't", "it"]),
        ("and/or red/blue", ["and", "or", "red", "blue"]),
        ("e.g. the U.S.A.", ["e.g", "the", "U.S.A"]),
        ("soft won\u00adder", ["soft", "won\u00adder"]),
        ("cafe\u0301 na\u00efve", ["cafe\u0301", "na\u00efve"]),
    ],
)  # fmt: skip
def test_words_of_letters(text, words):
    assert written(text) == words


@pytest.mark.parametrize(
    "symbol",
    ["\u2192", "+", "=", "%", "&", "@", "\u2665", "\u2460", "$", "\u20ac", "\u221e", "\u2265", "\u00b0", "\u2713", "~",
     "\U0001f436", HEART, FAMILY, GERMANY, THUMB, "1\ufe0f\u20e3", "#\ufe0f\u20e3", "\U0001f3fd", "\U0001fae8",
     "\u203c", "\ufffd", "*", "#", "/", "\\", "|", "`", "_", ">", "->", "<=", "!=", "==", "**", "\u2500\u2500\u2502"],
)  # fmt: skip
def test_a_visible_symbol_alone_is_one_word(symbol):
    assert written(symbol) == [symbol]
    assert written(f"{symbol}.") == [symbol]


@pytest.mark.parametrize(
    "text",
    ["", ".", ",", "?!", "\u2026", "\u2014", " \n\t", "\u3002", "\u300c\u300d", "()", "[]", "\ufe0f", "\u200d",
     "\u0301", "\u200b", "\u2060", "\ud800", "\u061f", "'", '"', "\u0964", "-", "\x00"],
)  # fmt: skip
def test_punctuation_spaces_and_parts_of_characters_are_no_words(text):
    assert written(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FAMILY + GERMANY + FRANCE + THUMB, [FAMILY, GERMANY, FRANCE, THUMB]),
        (f"{HEART}{HEART}", [HEART, HEART]),
        ("a dog \U0001f436!", ["a", "dog", "\U0001f436"]),
        ("left\u2192right \u2192 up", ["left", "\u2192", "right", "\u2192", "up"]),
        ("\u2460red \u2461blue", ["\u2460", "red", "\u2461", "blue"]),
        ("R & B, Q&A, AT&T", ["R", "&", "B", "Q&A", "AT&T"]),
        ("Nike\u2122 shoes", ["Nike\u2122", "shoes"]),
    ],
)
def test_symbols_among_words(text, words):
    assert written(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,234.5", ["1,234.5"]),
        ("1,234, 5", ["1,234", "5"]),
        ("3-4 or 3\u20134", ["3-4", "or", "3\u20134"]),
        ("50% of 5 %", ["50%", "of", "5", "%"]),
        ("12:30, 1/2, 2024-01-02", ["12:30", "1/2", "2024-01-02"]),
        ("-5, \u22125, +5, \u00b15", ["-5", "\u22125", "+5", "\u00b15"]),
        ("x -5 but x-5", ["x", "-5", "but", "x-5"]),
        (".5 and -.5", [".5", "and", "-.5"]),
        ("H\u2082O, x\u00b2, x^2, \u00bd", ["H\u2082O", "x\u00b2", "x^2", "\u00bd"]),
        ("$5, -$5.00, 5\u20ac, 5 \u20ac", ["$5", "-$5.00", "5\u20ac", "5", "\u20ac"]),
        ("20\u00b0C 90\u00b0 5\u2103", ["20\u00b0C", "90\u00b0", "5\u2103"]),
        ("2+2=4", ["2", "+", "2", "=", "4"]),
        ("3 * 4, 3*4, 3 \u00d7 4, 6 / 2", ["3", "*", "4", "3", "*", "4", "3", "\u00d7", "4", "6", "/", "2"]),
        ("C, C++, C#, A+, 18+", ["C", "C++", "C#", "A+", "18+"]),
        ("A+B", ["A", "+", "B"]),
        ("A-, AB\u2212 and left- or", ["A-", "AB\u2212", "and", "left", "or"]),
        ("5\u2032 10\u2033", ["5\u2032", "10\u2033"]),
        ("#1 @name", ["#1", "@name"]),
    ],
)
def test_numbers_and_what_belongs_to_them(text, words):
    assert written(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("See https://a.org/x_y?c=1&d=%20.", ["See", "https://a.org/x_y?c=1&d=%20"]),
        ("[red](https://a.org) <https://b.org>", ["red", "https://a.org", "<", "https://b.org", ">"]),
        ("(www.a.de) mail a.b+c@d-e.co.uk.", ["www.a.de", "mail", "a.b+c@d-e.co.uk"]),
        ("**red** _car_ `x` ~", ["red", "car", "x", "~"]),
        ("# Title\n\n- red\n* blue\n+ green\n> said", ["Title", "red", "blue", "green", "said"]),
        ("| Color | red |\n|---|---|", ["Color", "red"]),
        ('{"color": "red", "count": 3}', ["color", "red", "count", "3"]),
        ("<answer>B</answer>", ["<", "answer", ">", "B", "<", "answer", ">"]),
        ("if (a->b != 3) return snake_case;", ["if", "a", "->", "b", "!=", "3", "return", "snake_case"]),
        ("\\boxed{B}", ["boxed", "B"]),
    ],
)
def test_addresses_markdown_and_code(text, words):
    assert written(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\u7ea2\u8272\u7684\u6c7d\u8f66\u3002", ["\u7ea2\u8272", "\u7684", "\u6c7d\u8f66"]),
        ("3\u8f86\u8f66", ["3", "\u8f86", "\u8f66"]),
        ("\u8d64\u3044\u8eca\u304c", ["\u8d64\u3044", "\u8eca", "\u304c"]),
        ("\u30b3\u30fc\u30d2\u30fc\u3092", ["\u30b3\u30fc\u30d2\u30fc", "\u3092"]),
        ("\u0e2a\u0e38\u0e19\u0e31\u0e02\u0e2a\u0e35\u0e41\u0e14\u0e072\u0e15\u0e31\u0e27",
         ["\u0e2a\u0e38\u0e19\u0e31\u0e02", "\u0e2a\u0e35", "\u0e41\u0e14\u0e07", "2", "\u0e15\u0e31\u0e27"]),  # Thai
        ("\u0edd\u0eb2\u0eaa\u0eb5\u0ec1\u0e94\u0e87", ["\u0edd\u0eb2", "\u0eaa\u0eb5\u0ec1\u0e94\u0e87"]),  # Lao
        ("\u1786\u17d2\u1780\u17c2\u1796\u178e\u17cc", ["\u1786\u17d2\u1780\u17c2", "\u1796\u178e\u17cc"]),  # Khmer
        ("\u1001\u103d\u1031\u1038\u1014\u102e", ["\u1001\u103d\u1031\u1038", "\u1014\u102e"]),  # Burmese
        ("\u1a28\u1a63\u1a2f", ["\u1a28\u1a63", "\u1a2f"]),  # Tai Tham has no dictionary: by grapheme
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902",
         ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u092e\u0947\u0902"]),
        ("\ud55c\uad6d\uc5b4 \ubb38\uc7a5", ["\ud55c\uad6d\uc5b4", "\ubb38\uc7a5"]),
        ("\u0645\u06cc\u200c\u062e\u0648\u0631\u062f", ["\u0645\u06cc\u200c\u062e\u0648\u0631\u062f"]),  # Persian
        ("T\u6064 \U00020bb7\u91ce\u5bb6", ["T", "\u6064", "\U00020bb7", "\u91ce\u5bb6"]),  # outside the basic plane
    ],
)  # fmt: skip
def test_scripts(text, words):
    assert written(text) == words


ANY = st.text(st.characters(), max_size=40)  # surrogates included
LIVELY = st.text(
    st.sampled_from("aB1\u00e9 .,'-+*#/\\_|`~^$%&@<>=()\n:"
                    "\u0301\u200d\ufe0f\u200b\u0e2a\u0e31\u0e02\u7ea2\u8272\u8f66"
                    "\u304c\U0001f436\U0001f3fd\U0001f1e9\u20e3\u00ad\ud800\u1786\u17d2\u0939\u093f\u0600\u2192\u00b2"),
    max_size=40,
)  # fmt: skip
MARKS = regex.compile(r"[*#/\\|`^_>+]|\p{Sk}")


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.one_of(ANY, LIVELY))
def test_properties_of_any_text(text):
    words = find_words(text)
    end = 0
    for word in words:
        assert end <= word.start < word.end <= len(text)
        assert word.text == text[word.start : word.end]
        assert not word.text.isspace()
        assert comparable(comparable(word.text)) == comparable(word.text)
        end = word.end
    covered = {place for word in words for place in range(word.start, word.end)}
    for place, character in enumerate(text):
        if place in covered or unicodedata.category(character)[0] not in "LNS" or MARKS.match(character):
            continue
        raise AssertionError(f"{character!r} at {place} belongs to no word of {words}")
    # A mark, a joiner, a selector or a skin tone goes with the character before it.
    for word in words:
        assert word.end == len(text) or not regex.match(r"[\p{M}\u200d\U0001f3fb-\U0001f3ff]", text[word.end])


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from(["red", "car", "isn't", "3.5", "\U0001f436", "\u2192", "left-hand"]), max_size=8))
def test_words_with_spaces_between_them_are_found_again(words):
    assert written(" ".join(words)) == words


def test_a_long_text_takes_no_long_time():
    text = "\u0e2a\u0e38\u0e19\u0e31\u0e02" * 2000 + "a" * 10_000 + "-" * 10_000 + "1,2" * 2500 + "\u200d" * 2500
    assert len(find_words(text)) > 2000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Aren\u2019t", "aren't"),
        ("STRASSE", "stra\u00dfe"),
        ("cafe\u0301", "caf\u00e9"),
        ("\uff21\uff22", "ab"),
        ("left\u2011hand", "left-hand"),
        ("\u22125", "-5"),
        (HEART, "\u2764"),
        ("won\u00adder", "wonder"),
    ],
)
def test_forms_that_are_the_same_word(one, other):
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C", "C++"),
        ("5", "-5"),
        ("\u0915\u093f", "\u0915\u0940"),
        ("e", "\u00e9"),
        ("\U0001f436", "\U0001f431"),
        ("1.5", "15"),
    ],
)
def test_forms_that_are_different_words(one, other):
    assert comparable(one) != comparable(other)
