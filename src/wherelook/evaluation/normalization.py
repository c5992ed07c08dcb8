"""The form in which short answers are compared: what does not tell them apart is dropped, and nothing else.

Dropped are case, punctuation between words, articles before a word, kinds of apostrophe, quotation marks and Markdown.
Numbers have one form: "1,000" is "1000", "twenty-one" is "21", "50 percent" is "50%", "minus 5" is "-5". Kept is what
carries a meaning of its own: signs ("-5", "C++", "A-"), symbols and emoji, accents and vowel signs, decimal points and
powers. Texts without any word are compared as they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal

from wherelook.words import Word, find_words

ARTICLES = frozenset(("a", "an", "the"))

_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_SMALL_VALUES = {word: value for value, word in enumerate(_SMALL)}
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TENS_VALUES = {word: 10 * value for value, word in enumerate(_TENS, start=2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}

_DISTINCT_FORMS = ("<super>", "<circle>", "<square>")  # a power; a digit in a circle is a symbol
_SUPERSCRIPT = re.compile("[\u00b2\u00b3\u00b9\u2070-\u207f]+")
_INVISIBLE = re.compile("[\u00ad\u2060\ufe0e\ufe0f\ufeff]")
_APOSTROPHE = re.compile("[\u2019\u02bc\u2018]")
_HYPHEN = re.compile("[\u2010\u2011\u2212]")
_MARK_OF_TRADE = re.compile("[\u2122\u00ae\u00a9\u2120]$")

_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_AMOUNT = re.compile(r"(?P<number>[^\w.]*\.?\d(?:[\d.,:/]*\d)?)-?(?P<unit>%|\u00b0[^\W\d_]?|(?!st|nd|rd|th)[^\W\d_]+)")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_COMPOUND = re.compile(r"(?<=[^\W_])[-_](?=[^\W\d_])")
_PLAIN_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def normal_form(text: str) -> str:
    """The form of an answer. No answer but white space has an empty one.

    Example:
        >>> normal_form("The Twenty-One DOGS!"), normal_form("-5"), normal_form("C++"), normal_form("?")
        ('21 dogs', '-5', 'c++', '?')
    """
    return _form(text, without_articles=True)


def same_answer(one: str, other: str) -> bool:
    """Whether two answers say the same: their forms are equal, with or without their articles."""
    return any(
        _form(one, without_articles=without) == _form(other, without_articles=without) for without in (True, False)
    )


def _form(text: str, *, without_articles: bool) -> str:
    plain = _SUPERSCRIPT.sub(lambda found: "^" + unicodedata.normalize("NFKC", found[0]), _INVISIBLE.sub("", text))
    plain = unicodedata.normalize("NFC", "".join(map(_compatible, plain)))
    words = find_words(plain)
    if not words:
        return " ".join(text.split()).casefold()
    parts: list[str] = []
    last: Word | None = None
    for place, word in enumerate(words):
        if without_articles and _is_article(place, words, plain):
            continue
        if last is not None and not (last.spaced or word.spaced) and last.end == word.start:
            parts[-1] += word.text.casefold()  # a dictionary may cut the same text otherwise elsewhere
        else:
            parts += _parts(word)
        last = word
    return " ".join(_with_signs(_with_digits(parts)))


def _compatible(character: str) -> str:
    """The plain form of a character of full width, a ligature, a subscript, a fraction; not of a symbol of its own."""
    form = unicodedata.decomposition(character)
    if not form.startswith("<") or form.startswith(_DISTINCT_FORMS):
        return character
    plain = unicodedata.normalize("NFKC", character)
    return " " + plain.replace("\N{FRACTION SLASH}", "/") if form.startswith("<fraction>") else plain


def _is_article(place: int, words: Sequence[Word], text: str) -> bool:
    """Whether a word stands before another one as an article does: not the A of "vitamin A", "Team A won", "A, B"."""
    word = words[place]
    if word.text.casefold() not in ARTICLES or place + 1 == len(words):
        return False
    following = words[place + 1]
    if len(following.text) == 1 and following.text.isalpha():
        return False
    named = word.text == "A" and place > 0 and not text.isupper()
    return not named and text[word.end : following.start].isspace()


def _parts(word: Word) -> list[str]:
    """A word in lower case, cut where spellings differ: "left-hand", "5cm", "50%"."""
    text = _HYPHEN.sub("-", _APOSTROPHE.sub("'", word.text.casefold()))
    text = _MARK_OF_TRADE.sub("", text) if len(text) > 1 else text
    text = _GROUPED.sub(lambda found: found[0].replace(",", ""), text)
    if _INITIALS.fullmatch(text):
        return [text.replace(".", "")]
    if amount := _AMOUNT.fullmatch(text):
        return [amount["number"], amount["unit"]]
    return ["and"] if text == "&" else _COMPOUND.split(text)


def _with_digits(parts: Sequence[str]) -> list[str]:
    """The parts with number words as digits."""
    result: list[str] = []
    place = 0
    while place < len(parts):
        value, end = _number_at(parts, place)
        result.append(parts[place] if value is None else f"{value:f}")
        place = end
    return result


def _number_at(parts: Sequence[str], place: int) -> tuple[Decimal | None, int]:
    """The number that begins at a place, and where what follows it begins."""
    total, end, limit = Decimal(0), place, Decimal("inf")
    while end < len(parts):
        start = end + 1 if end > place and parts[end] == "and" else end
        group, after = _below_thousand(parts, start)
        if group is None:
            if end > place or place >= len(parts) or parts[place] not in _SCALES:
                break
            group, after = Decimal(1), place  # "thousand" alone
        scale = _SCALES.get(parts[after], 1) if after < len(parts) else 1
        if scale >= limit or (end > place and scale == 1 and limit == 1):
            break
        if _PLAIN_NUMBER.fullmatch(parts[start]) and scale == 1:
            break  # digits alone stay as they are written
        total, limit, end = total + group * scale, Decimal(scale), after + (scale > 1)
        if scale == 1:
            break
    return (None, place + 1) if end == place else (total.normalize() + 0, end)


def _below_thousand(parts: Sequence[str], place: int) -> tuple[Decimal | None, int]:
    """A number up to 999 in words, or digits, that begins at a place, and where what follows it begins."""
    if place < len(parts) and _PLAIN_NUMBER.fullmatch(parts[place]):
        return Decimal(parts[place]), place + 1
    value, end = _below_hundred(parts, place)
    if end < len(parts) and parts[end] == "hundred" and (value is None or 0 < value < 100):
        value, end = 100 * (1 if value is None else value), end + 1
        start = end + 1 if end < len(parts) and parts[end] == "and" else end
        rest, after = _below_hundred(parts, start)
        if rest:
            value, end = value + rest, after
    return (None, place) if value is None else (Decimal(value), end)


def _below_hundred(parts: Sequence[str], place: int) -> tuple[int | None, int]:
    word = parts[place] if place < len(parts) else ""
    if word in _SMALL_VALUES:
        return _SMALL_VALUES[word], place + 1
    if word not in _TENS_VALUES:
        return None, place
    unit = _SMALL_VALUES.get(parts[place + 1], 0) if place + 1 < len(parts) else 0
    return (_TENS_VALUES[word] + unit, place + 2) if 0 < unit < 10 else (_TENS_VALUES[word], place + 1)


def _with_signs(parts: Sequence[str]) -> list[str]:
    """The parts with the words minus and percent as signs beside a number, and degrees with their scale."""
    result: list[str] = []
    for part in parts:
        number = _PLAIN_NUMBER.fullmatch(part)
        if number and result and result[-1] in ("minus", "negative"):
            result[-1] = "-" + part
        elif part in ("percent", "%") and result and result[-1][-1:].isdigit():
            result.append("%")
        elif part == "cent" and len(result) > 1 and result[-1] == "per" and result[-2][-1:].isdigit():
            result[-1] = "%"
        elif part in ("c", "f") and result and result[-1] == "\N{DEGREE SIGN}":
            result[-1] += part
        else:
            result.append(part)
    return result
