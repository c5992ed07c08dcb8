"""Where the words of a text are, whatever pieces a tokenizer makes of it.

A word is a run of letters and digits with the apostrophes, hyphens and points inside it; a number with its sign,
separators and unit; an address of a page or a person; or a visible symbol: an emoji, an arrow, an operator, a currency
sign. Punctuation, white space and the marks of Markdown are between words.

Scripts that put no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) are cut by the dictionaries of
ICU (https://unicode.org/reports/tr29/, section 4); those without a dictionary after every grapheme. What
belongs to a character (marks, joiners, variation selectors, skin tones) stays with it and is no word of its own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import regex

# Sets of characters. What continues a character: marks, joiners, variation selectors, skin tones, invisible format
# characters; but not the space of no width (U+200B), which ends a word.
_CONTINUES = r"[[\p{M}\p{Cf}\p{GCB=Extend}\p{GCB=SpacingMark}]--[\u200b]]"
_UNSPACED = (
    r"[[\p{LB=SA}\p{LB=AK}\p{LB=AS}\p{LB=AP}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u30fc\uff70]--\p{M}]"
)
_CIRCLED = r"[\p{No}&&[\u2460-\u24ff\u2776-\u2793\u3220-\u32ff\U0001f100-\U0001f10c]]"  # each is a symbol of its own
_ACCENT = r"[\p{Sk}--\p{Extended_Pictographic}--[\U0001f3fb-\U0001f3ff]]"  # an accent without a letter, a backtick
_VISIBLE = rf"[[\p{{S}}\p{{Co}}\p{{Cn}}\p{{Extended_Pictographic}}%&@§‰‱٪{_CIRCLED}]--[|{_ACCENT}]]"
_APOSTROPHE = "'\u2019\u02bc\u2018\uff07"
_IN_ADDRESS = r"[[!-~]--[()<>\"`]]"

_MORE = rf"{_CONTINUES}*+"
_LETTER = rf"[[\p{{L}}\p{{N}}]--[{_UNSPACED}{_CIRCLED}]]"
_BEFORE = r"\p{GCB=Prepend}*"  # signs that are written before the character they belong to
_UNIT = rf"{_BEFORE}{_LETTER}{_MORE}"

_WORD = rf"""
    (?: (?: (?<![\p{{L}}\p{{N}}\p{{M}}\p{{Cf}})\]\-\u2212+]) [\-\u2212+\u00b1] (?=\p{{Sc}}?\.?\p{{N}}) )?+   # -5
        (?: \p{{Sc}} {_MORE} (?=\.?\p{{N}}) )?+                                               # $5
        (?: (?<![\p{{L}}\p{{N}}\p{{M}}.]) \. (?=\p{{N}}) )?+                                  # .5
      | (?<![\p{{L}}\p{{N}}\#@/&]) [\#@] (?={_LETTER})                                        # #1, @name
    )
    (?:{_UNIT})+
    (?: (?: [{_APOSTROPHE}.\-\u2010\u2011\u00b7_&^] {_MORE}         # isn't, left-hand, e.g, snake_case, Q&A, x^2
          | (?<=\p{{N}}{_CONTINUES}*) [,:/\u2044\u2013] {_MORE} (?=\p{{N}})   # 1,234.5, 12:30, 1/2
        )
        (?:{_UNIT})+
    )*
    (?: (?<=\p{{N}}{_CONTINUES}*) (?: [%‰‱٪℃℉] | [\u2032\u2033]{{1,3}} | °(?:[CF](?!{_LETTER}))? | \p{{Sc}} ) {_MORE}
      | [™®©℠] {_MORE}
      | (?: \+{{1,2}} (?![\p{{L}}\p{{N}}+=]) | \# (?![\p{{L}}\p{{N}}\#]) ) {_MORE}            # C++, A+, 18+, C#
      | (?<=(?<![\p{{L}}\p{{N}}])[A-Z]{{1,2}}) [\-\u2212] (?![\p{{L}}\p{{N}}\-\u2212])      # A-, AB-
    )?+
"""
_WORDS = regex.compile(
    rf"""
      (?: (?:https?|ftps?):// | www\. ) {_IN_ADDRESS}* [\w/=&%\#+~\-]
    | [A-Za-z0-9._%+\-]++ @ [A-Za-z0-9\-]+ (?: \.[A-Za-z0-9\-]*[A-Za-z0-9] )+
    | [0-9*\#] \ufe0f? \u20e3                                             # an emoji of a key
    | {_WORD}
    | ^ [>+] [ ]++ (?=\S) (*SKIP)(*FAIL)                                  # a quotation, a list in Markdown
    | (?: <=> | <-+> | <=+> | -+> | =+> | <-+ | <=+ | [!:+\-*/%]= | >= | && | =+ | \+\++ | << | >>
        | (?<=\p{{N}}) \* (?=\p{{N}}) | (?<=[\p{{N}})][ ]) [*/] (?=[ ][\p{{N}}(\-])
        | [\u2500-\u259f]+ ) {_MORE}                                        # the last are drawn lines
    | (?={_BEFORE}{_VISIBLE}) \X
    | (?P<unspaced> (?:{_BEFORE}{_UNSPACED}{_MORE})+ )
    """,
    regex.VERBOSE | regex.VERSION1 | regex.MULTILINE,
)
_MARKS = regex.compile(rf"(?:[*\#/\\|_>+{_ACCENT}]{_MORE})+", regex.VERSION1)
"""What formats a text: words only where there are no others."""

_DICTIONARY = regex.compile(
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}"
    r"\p{Script=Myanmar}\u30fc\uff70]",
    regex.VERSION1,
)
"""The first character of a run that ICU has a dictionary for."""

_GRAPHEME = regex.compile(rf"{_BEFORE}.{_MORE}", regex.VERSION1)
_APOSTROPHES = regex.compile(f"[{_APOSTROPHE}]")
_HYPHENS = regex.compile("[\u2010\u2011\u2212]")
_INVISIBLE = regex.compile(r"[\p{Cf}\p{Variation_Selector}]")


@dataclass(frozen=True)
class Word:
    """A word of a text.

    Attributes:
        text: as it is written there.
        start: of its first character in the text.
        end: one past its last.
        spaced: whether its script puts spaces between words; False for those that a dictionary cut.
    """

    text: str
    start: int
    end: int
    spaced: bool = True

    @property
    def key(self) -> str:
        """The form in which words are compared; see `comparable`."""
        return comparable(self.text)


def find_words(text: str) -> list[Word]:
    """The words of a text in their order; they do not overlap.

    Args:
        text: any string, one with lone surrogates included.

    Example:
        >>> [word.text for word in find_words("It isn't 1,234.5 → $5 🐶, is it?")]
        ['It', "isn't", '1,234.5', '→', '$5', '🐶', 'is', 'it']
    """
    found: list[Word] = []
    for match in _WORDS.finditer(text):
        if match["unspaced"] is None:
            found.append(Word(match[0], *match.span()))
        else:
            found += _cut(match[0], match.start())
    return found or [Word(match[0], *match.span()) for match in _MARKS.finditer(text)]


def comparable(text: str) -> str:
    """The form in which words are compared: case, compatible forms, kinds of apostrophe and hyphen do not count."""
    plain = _INVISIBLE.sub("", _HYPHENS.sub("-", _APOSTROPHES.sub("'", text)))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", plain).casefold())


def _cut(run: str, start: int) -> Iterator[Word]:
    """The words of a run of a script without spaces: by dictionary, or by grapheme where there is none."""
    ends = {match.end() for match in _GRAPHEME.finditer(run)}
    if _DICTIONARY.match(run):
        from icu4py.breakers import WordBreaker  # 33 MB of dictionaries, which most texts do not need

        dictionary, end = set(), 0
        for piece in WordBreaker(run, "en"):  # the dictionary goes by script, not by language
            end += len(piece)
            dictionary.add(end)
        ends &= dictionary
    first = 0
    for end in sorted(ends | {len(run)}):
        yield Word(run[first:end], start + first, start + end, spaced=False)
        first = end
