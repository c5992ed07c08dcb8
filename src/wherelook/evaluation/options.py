"""Which option of a question with lettered options an answer names.

The raw text comes before any normalization, in this order: what the answer marks as final (`\\boxed{B}`,
"<answer>B</answer>"); a letter alone ("B", "(b)", "**B**."); the text of an option alone; a letter that is announced
("the answer is B", "I choose B", "B is correct", in Chinese and Japanese too); a letter at the start with a mark or the
line's end behind it ("B. a dog"); "option B"; a letter before a word ("B the dog"; not A, which is an article there,
and not I, a pronoun); the only letter in brackets; the only option whose text is mentioned. Where options are letters
themselves, the letter that the prompt asks for wins. An answer that names several options, or none, is no verdict.

That follows the published rules: MMBench's (Liu et al. 2023, arXiv 2307.06281: a letter that stands alone, else the
only option that is contained) and LLaVA's for ScienceQA (Liu et al. 2023, arXiv 2304.08485: "B", "B. a dog", "The
answer is B.").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase

from wherelook.evaluation.final_answer import LIKELY, announced_answers, marked_answer
from wherelook.evaluation.normalization import normal_form
from wherelook.evaluation.yes_no import read_yes_or_no

SHORT_ANSWER = 60
"""Characters up to which an answer that mentions one option is taken to name it, however short the options are."""

# Brackets and quotation marks around a letter, those of full width too.
_OPEN, _CLOSE = r"[(\[{\uff08\u3010\"'\u201c\u2018]{0,3}\s?", r"\s?[)\]}\uff09\u3011\"'\u201d\u2019]{0,3}"
_LETTER = r"(?P<letter>(?-i:[A-Z]))"
_WORD_END = r"(?![\w'\u2019+#])"
_NAME = r"(?:option|choice|letter|alternative)"

_MARKUP = re.compile(r"[*_`$]+|</?s>|<\|[^|]*\|>")
_FULL_WIDTH = {ord(letter) + 0xFEE0: letter for letter in ascii_uppercase + ascii_lowercase}
_ALONE = re.compile(rf"\W*(?:(?:{_NAME}|answer|\u9009\u9879)\b\W*)?(?P<letter>[A-Za-z])[^\w+#\-\u2212]*", re.IGNORECASE)
_LEADING = re.compile(
    rf"\W*(?:(?:{_NAME}|answer)\s+)?"
    r"(?:(?<=[(\[\uff08\u3010])\s*(?P<bracketed>[A-Za-z])\s*[)\]\uff09\u3011]"
    r"|(?P<lower>[a-z])[.)\]:\uff1a](?!\w)"
    r"|(?P<upper>[A-Z])(?:\s*[.)\]:;\uff1a\uff0c\u3001\uff0e\uff09\u3002](?![A-Za-z]\.)|(?<!I),\s|\s+[-\u2013\u2014]+\s|\s*$))",
)
_ANNOUNCED = re.compile(
    rf"(?:(?:the )?{_NAME} )?{_OPEN}(?P<letter>[A-Za-z]){_CLOSE}"
    r"\s*(?:$|[.):,;\uff1a\uff0c\u3001\uff0e]|[-\u2013\u2014]\s|(?:because|since|as|for)\b)",
    re.IGNORECASE,
)
_CHOSEN = re.compile(
    rf"(?:\b(?:choose|choosing|chose|pick|picked|select|selected|go with|going with|opt for)\b(?: the)?(?: {_NAME})?"
    rf"|(?:\u7b54\u6848|\u9009\u9879|\u9009\u62e9|\u5e94\u9009|\u9009|\u6b63\u89e3|\u7b54\u3048|\u7b54)\s*(?:\u5e94\u4e3a|\u4e3a|\u662f|\u306f)?)\s*[:\uff1a]?\s*"
    rf"{_OPEN}(?P<letter>(?-i:[B-Z]|A(?! (?!because|since|as |for )[a-z]))){_CLOSE}{_WORD_END}",
    re.IGNORECASE,
)
_LAST = re.compile(
    rf"(?:\b(?:so|thus|therefore|hence|it is|it's|likely|probably)|[:,;])\s+{LIKELY}?"
    rf"(?:{_NAME} )?{_OPEN}{_LETTER}{_CLOSE}\W*$",
    re.IGNORECASE,
)
_CONFIRMED = re.compile(
    rf"(?<![\w']){_OPEN}{_LETTER}{_CLOSE} is {LIKELY}?(?:the )?(?:{LIKELY}|most |best )?"
    r"(?:correct|right|best|answer|appropriate|accurate)\b"
)
_OPTION = re.compile(
    rf"\b{_NAME}\s*(?:is|:|\uff1a)?\s*{LIKELY}?{_OPEN}{_LETTER}{_CLOSE}{_WORD_END}"
    r"(?! (?:is|are|was) (?:not|wrong|incorrect|false|unlikely)|n't)",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"(?:\bnot|n['\u2019]t|\bnor|\bneither|\bnever|\bthan|\u4e0d)\s*(?:the |to |be )?$", re.IGNORECASE
)
_BEFORE_WORD = re.compile(r"\W*(?P<letter>[B-HJ-Z]) (?!(?:is|are|was) (?:not|wrong|incorrect|false|unlikely)|isn)")
_BRACKETED = re.compile(r"[(\[\uff08\u3010]\s*(?P<letter>[A-Z])\s*[)\]\uff09\u3011]")
_SEVERAL = re.compile(
    rf"(?<![\w']){_OPEN}[A-Z]{_CLOSE}\s*(?:[,/&+\u3001\u548c\u6216]|and|or)"
    rf"\s*(?:and |or )?(?:{_NAME} )?{_OPEN}[A-Z]{_CLOSE}{_WORD_END}"
)
_LISTED = re.compile(r"(?<![\w.])\(?(?P<letter>[A-Z])[.):] ")
_NEGATION = re.compile(r"\b(?:not|no|neither|nor|none|never|cannot|without)\b|n't\b")


def chosen_option(answer: str, choices: Sequence[str]) -> int | None:
    """The place of the option that an answer names; None where it names none or several.

    Args:
        answer: as the model wrote it.
        choices: the options' texts, which are lettered from A.

    Example:
        >>> [chosen_option(text, ("a dog", "a cat")) for text in ("B", "The answer is (B).", "A dog", "A and B")]
        [1, 1, 0, None]
    """
    marked = marked_answer(answer)
    return _read(answer if marked is None else marked, choices)


def _read(answer: str, choices: Sequence[str]) -> int | None:
    text = re.sub(r"[^\S\n]+", " ", _MARKUP.sub("", answer.translate(_FULL_WIDTH))).strip()
    letters = ascii_uppercase[: len(choices)]
    forms = [normal_form(choice) for choice in choices]
    unique = {form: place for place, form in enumerate(forms) if form and forms.count(form) == 1}

    if (alone := _ALONE.fullmatch(text)) and (letter := alone["letter"].upper()) in letters:
        return letters.index(letter)
    if (place := unique.get(normal_form(text))) is not None:
        return place

    announced = announced_answers(text)
    said = {match["letter"].upper() for part in announced if (match := _ANNOUNCED.match(part))}
    said |= _found(_CHOSEN, text) | _found(_CONFIRMED, text) | _found(_LAST, text)
    said &= set(letters)
    lines = text.splitlines()
    alone_lines = {match["letter"].upper() for line in lines if (match := _ALONE.fullmatch(line))} & set(letters)
    leading = alone_lines or {letter for line in lines if (letter := _leading(line)) and letter in letters}
    first = next(iter(leading)) if len(leading) == 1 and {_leading(lines[0])} == leading else None
    if said:
        return letters.index(said.pop()) if len(said) == 1 and first in (None, *said) else None
    told = {unique[form] for part in announced if (form := normal_form(part)) in unique}
    if told:
        return told.pop() if len(told) == 1 else None
    if first is not None and alone_lines:
        return letters.index(first)
    if len((leading | _found(_LISTED, text)) & set(letters)) > 1 or _SEVERAL.search(text):
        return None
    if first is not None:
        return letters.index(first)
    for pattern in (_OPTION, _BEFORE_WORD, _BRACKETED):
        found = _found(pattern, text) & set(letters)
        if found:
            return letters.index(found.pop()) if len(found) == 1 else None
    if set(forms) == {"yes", "no"}:
        spoken = read_yes_or_no(text)
        return None if spoken is None else forms.index(spoken)
    return _only_mentioned(text, choices, unique)


def _found(form: re.Pattern[str], text: str) -> set[str]:
    """The letters that a pattern finds, but for those with a negation before them."""
    found = form.finditer(text) if form is not _BEFORE_WORD else filter(None, [form.match(text)])
    return {
        match["letter"].upper()
        for match in found
        if not any(_NEGATED.search(text[max(0, end - 20) : end]) for end in (match.start(), match.start("letter")))
    }


def _leading(line: str) -> str | None:
    match = _LEADING.match(line)
    letter = match and (match["bracketed"] or match["lower"] or match["upper"])
    return letter.upper() if letter else None


def _only_mentioned(text: str, choices: Sequence[str], unique: dict[str, int]) -> int | None:
    """The only option whose text a short answer holds, without a negation beside it."""
    if len(text) > max(2 * sum(map(len, choices)), SHORT_ANSWER):
        return None
    rest, found = f" {normal_form(text)} ", []
    for form, place in sorted(unique.items(), key=lambda item: -len(item[0])):  # "black cat" before "cat"
        inside = form if not form.isascii() and " " not in form and form.isalpha() and len(form) > 1 else f" {form} "
        if inside in rest:
            found.append(place)
            rest = rest.replace(inside, " | ")
    return found[0] if len(found) == 1 and not _NEGATION.search(rest) else None
