"""The parts of an answer that it marks as its final answer: in a box, in a tag, or by "the answer is"."""

from __future__ import annotations

import re

_TAG = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_GLM_BOX = re.compile(r"<\|begin_of_box\|>(.*?)(?:<\|end_of_box\|>|$)", re.DOTALL)
_TEX_BOX = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_TEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_BRACKETS = re.compile(r"\[\[([^\[\]]+)\]\]")
LIKELY = r"(?:(?:(?:most |very |quite )?likely|(?:most )?probably) )"
"""Words that weaken an answer, with the space behind them; the answer counts all the same."""

_ANNOUNCED = re.compile(
    r"(?<![</\w])(?:answer|solution)\b(?: (?:to|for) (?:this|the|your) question)?\W{0,2}?"
    rf"(?:\b(?:is|(?:would|should|must|will) {LIKELY}?be)\b(?: {LIKELY}(?:to be\b)?)?|:|\uff1a|=|\n)"
    r"[\s:*_\"'\u201c]*(?P<text>[^\n.!?\u3002]+)",
    re.IGNORECASE,
)


def marked_answer(answer: str) -> str | None:
    """What an answer puts into a tag "<answer>", a box (`\\boxed{...}`, that of GLM) or "[[...]]"; None without one.

    Of several of one form the last stands: a model that reasons corrects itself.
    """
    for form in (_TAG, _GLM_BOX, _TEX_BOX, _BRACKETS):
        if found := form.findall(answer):
            return _TEX_TEXT.sub(r"\1", found[-1]).strip()
    return None


def announced_answers(answer: str) -> list[str]:
    """What follows "the answer is", "Answer:" and the like, to the end of the sentence, in order."""
    return [match["text"].strip() for match in _ANNOUNCED.finditer(answer)]
