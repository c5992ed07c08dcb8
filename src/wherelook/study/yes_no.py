"""Whether an answer says yes or no.

Read in this order: what the answer marks as final (`\\boxed{yes}`, "<answer>No</answer>", "the answer is no"); the
first word; then sentence by sentence a statement: one with a negation is a no ("There is no dog", "It isn't red"), as
by POPE's rule (Li et al. 2023, arXiv 2305.10355); one that says that something is there or is so is a yes ("There is a
dog", "The image shows two"). An answer that says both, neither, or that it cannot tell is no verdict.
"""

from __future__ import annotations

import re
from typing import Literal

from wherelook.study.final_answer import announced_answers, marked_answer

YesOrNo = Literal["yes", "no"]

_YES = r"(?:yes|yeah|yep|yup|yea)"
_NO = r"(?:no|nope|nah)"
_ALONE: dict[str, YesOrNo] = {
    **dict.fromkeys(("true", "correct", "right", "indeed", "it is", "it does", "there is", "there are"), "yes"),
    **dict.fromkeys(("false", "incorrect", "wrong", "not at all", "absolutely not", "definitely not", "none"), "no"),
}
_BOTH = re.compile(rf"\b{_YES}\W+(?:and|or)\W+{_NO}\b|\b{_NO}\W+(?:and|or)\W+{_YES}\b|\b{_YES}\s*/\s*{_NO}\b")
_FIRST = re.compile(rf"\W*(?:(?P<yes>{_YES})|(?P<no>{_NO}))\b(?!['-])")
_LAST = re.compile(rf"(?:[,:;-]|\bso|\bis) (?:(?P<yes>{_YES})|(?P<no>{_NO}))\W*$")
_NO_OPENING = re.compile(r"\W*no(?: ?\. ?\d| (?:idea|clue|comment|answer|information|opinion|way (?:to|of))\b)")
_NO_DOUBT = re.compile(r"\b(?:no doubt|without (?:a |any )?doubt|not only|no longer than|no more than)\b")
_UNSURE = re.compile(
    r"\b(?:can(?:no|')?t (?:tell|say|determine|be (?:determined|answered|told)|answer|confirm|see the image|view|judge)"
    r"|can not (?:tell|say|determine|be determined|answer|confirm)|unable to|unclear|unknown|unanswerable|uncertain"
    r"|unsure|not (?:sure|certain|clear|possible to|enough|able to)|(?:do not|don't) know|no idea|hard to (?:say|tell)"
    r"|difficult to (?:say|tell|determine)|impossible to|maybe|perhaps|it depends|insufficient|sorry|no way to)\b"
)
_NEGATION = re.compile(
    r"\b(?:no|not|none|nothing|nobody|nowhere|never|neither|nor|without|cannot|cant|isnt|arent|doesnt|dont|wasnt|werent"
    r"|\w+n't)\b"
)
_AFFIRMATION = re.compile(
    r"^\W*(?:(?:there|it|that|this|they|he|she)(?:'s| is| are| was| were| does| do| has| have| seems| appears)\b"
    r"|(?:i|you|we|one) (?:can |could )?(?:clearly )?(?:see|find|spot)\b"
    r"|(?:the|this) (?:image|picture|photo|photograph|scene)(?: \w+){0,3}? "
    r"(?:shows?|contains?|depicts?|features?|includes?|has|does)\b)"
    r"|\b(?:is|are) (?:\w+ )?(?:present|visible|shown|seen|depicted|located|in the (?:image|picture|photo|scene))\b"
)
_SENTENCE = re.compile(r"[^.!?\n\u3002]+")
_MARKUP = re.compile(r"[*_`#\"\u201c\u201d]+")


def read_yes_or_no(answer: str) -> YesOrNo | None:
    """What an answer to a yes/no question says; None where it says neither, both, or that it cannot tell.

    Example:
        >>> [read_yes_or_no(text) for text in ("Yes, two.", "There is no dog.", "I cannot tell.", "red")]
        ['yes', 'no', None, None]
    """
    marked = marked_answer(answer)
    if marked is not None:
        return _stated(marked)
    announced = {_stated(text) for text in announced_answers(answer)} - {None}
    if len(announced) == 1:
        return announced.pop()
    return None if announced else _stated(answer)


def _stated(text: str) -> YesOrNo | None:
    plain = " ".join(_MARKUP.sub("", text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")).split())
    if known := _ALONE.get(plain.strip(" .!,")):
        return known
    if _BOTH.search(plain) or _NO_OPENING.match(plain):
        return None
    plain = _NO_DOUBT.sub("", plain)
    if first := _FIRST.match(plain):
        return "yes" if first["yes"] else "no"
    for sentence in _SENTENCE.findall(plain):
        if _UNSURE.search(sentence):
            return None
        if spoken := _FIRST.match(sentence) or _LAST.search(sentence):
            return "yes" if spoken["yes"] else "no"
        if _NEGATION.search(sentence):
            return "no"
        if _AFFIRMATION.search(sentence):
            return "yes"
    return None
