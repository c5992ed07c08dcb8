"""Whether an answer says yes or no.

Read in this order: what the answer marks as final (`\\boxed{yes}`, "<answer>No</answer>", "the answer is no"); a yes
or no that is spoken anywhere ("No, it is a cat.", "It stands on the grass. So yes, there is a dog."; not the no of
"There is no dog"); then sentence by sentence a statement: one with a negation is a no ("There is no dog", "It isn't
red"), as by POPE's rule (Li et al. 2023, arXiv 2305.10355); one that says that something is there or is so, or that
agrees, is a yes ("There is a dog", "The image shows two", "Correct, it is black"). An answer that says both, neither,
or that it cannot tell is no verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from wherelook.evaluation.final_answer import announced_answers, marked_answer

YesOrNo = Literal["yes", "no"]

_YES = r"(?:yes|yeah|yep|yup|yea)"
_NO = r"(?:no|nope|nah)"
_ALONE: dict[str, YesOrNo] = {
    **dict.fromkeys(("true", "correct", "right", "indeed", "it is", "it does", "there is", "there are"), "yes"),
    **dict.fromkeys(("of course", "certainly", "definitely", "absolutely", "exactly", "sure"), "yes"),
    **dict.fromkeys(("false", "incorrect", "wrong", "not at all", "absolutely not", "definitely not", "none"), "no"),
}
_BOTH = re.compile(rf"\b{_YES}\W+(?:and|or)\W+{_NO}\b|\b{_NO}\W+(?:and|or)\W+{_YES}\b|\b{_YES}\s*/\s*{_NO}\b")
# What may come before what a sentence says: "Based on the image, ", "So ", "Of course, ", "I think that ".
_OPENING = (
    r"(?>\W*(?:(?:(?:based on|in|from) (?:the|this) (?:image|picture|photo|photograph|scene)\b,?"
    r"(?= (?:yes|no|there|it|i|we|you)\b)"
    r"|(?:based on|in|from|according to|looking at|judging (?:by|from)|given|as|on|at)\b[^,;:]{1,80},"
    r"|(?:so|thus|therefore|hence|then|and|but|however|well|oh|ah|okay|ok|actually|overall|finally|indeed|certainly"
    r"|correct|right|true|exactly|of course|sure|surely|definitely|absolutely|clearly|(?:most |very )?likely|probably"
    r"|i (?:think|believe|would say|say)|i'd say)\b(?: that\b)?[,:;\u2013\u2014-]*)\s*)*)"
)
_SPOKEN_END = r"(?=\W*$|\s*[^\w\s]| (?:there|it|that|this|these|those|they|he|she|i|we|you|the)\b)"
_SPOKEN = re.compile(
    rf"^{_OPENING}\W*(?:(?P<yes>{_YES})\b|(?P<no>{_NO})\b{_SPOKEN_END})(?!['-]\w)"
    rf"|(?:[,:;\u2013\u2014-]|\b(?:so|thus|therefore|hence|but|is|i think|i believe|i would say|i'd say))"
    rf" (?:(?P<later_yes>{_YES})|(?P<later_no>{_NO}))\b{_SPOKEN_END}(?!['-]\w)"
)
_NUMBER = re.compile(r"\bno ?\. ?(?=\d+\b(?:\W*$|[.,;:!?)]| (?:is|was|and|or|on|in|at|of|for)\b))", re.MULTILINE)
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
    r"|\w+n't)\b|^\W*(?:false|incorrect|wrong)(?:,|\W*$)"
)
_AGREEMENT = re.compile(
    r"^\W*(?:(?:correct|true|indeed|exactly)\W*$"
    r"|(?:correct|true|indeed|exactly|right|of course|certainly|definitely|absolutely),)"
)
_AFFIRMATION = re.compile(
    rf"^{_OPENING}\W*(?:"
    r"(?:there|it|that|this|they|he|she)(?:'s| is| are| was| were| does| do| has| have| seems| appears)\b"
    r"|(?:i|you|we|one) (?:can |could )?(?:clearly )?(?:see|find|spot)\b"
    r"|(?:the|this) (?:image|picture|photo|photograph|scene)(?: \w+){0,3}? "
    r"(?:shows?|contains?|depicts?|features?|includes?|has|does)\b)"
    r"|\b(?:is|are) (?:\w+ )?(?:present|visible|shown|seen|depicted|located|in the (?:image|picture|photo|scene))\b"
)
_SENTENCE = re.compile(r"[^.!?\u3002]+")
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
    folded = _MARKUP.sub("", text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    lines = [" ".join(line.split()) for line in _NUMBER.sub("number ", folded).splitlines()]
    plain = " ".join(filter(None, lines))
    if known := _ALONE.get(plain.strip(" .!,")):
        return known
    if _BOTH.search(plain) or _NO_OPENING.match(plain):
        return None
    if spoken := {said for line in lines for sentence in _SENTENCE.findall(line) for said in _spoken(sentence)}:
        return spoken.pop() if len(spoken) == 1 else None
    for sentence in _SENTENCE.findall(_NO_DOUBT.sub("", plain)):
        if _UNSURE.search(sentence):
            return None
        if _NEGATION.search(sentence):
            return "no"
        if _AGREEMENT.search(sentence) or _AFFIRMATION.search(sentence):
            return "yes"
    return None


def _spoken(sentence: str) -> Iterator[YesOrNo]:
    """The yes and no that a sentence speaks, up to where it says that it cannot tell."""
    unsure = _UNSURE.search(sentence)
    for match in _SPOKEN.finditer(sentence, 0, unsure.start() if unsure else len(sentence)):
        yield "yes" if match["yes"] or match["later_yes"] else "no"
