"""What the page says of an answer's dependence on the image: banner and reliance panel, which never contradict.

The banner is about the words that were selected; the panel about the one word with the largest drop, wherever it is in
the answer. Where that word was not selected, or others outweigh it, the panel says so.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any

from wherelook.explanation.figures import NOTHING, number

if TYPE_CHECKING:
    from wherelook.explanation.record import Explanation

FLOOR = 0.2
"""Nats that the selected words must lose for mask optimization: `wherelook.tokens.FLIP_FLOOR`."""

DEGREES = ("hardly depends", "depends slightly", "depends clearly", "depends strongly")
BOUNDS = (0.181, 0.632, 0.95)
"""Reliance of 0.2, 1 and 3 nats: a word that hardly changes, the threshold, and twenty times less likely."""


def headline(explanation: Explanation) -> str:
    """The banner's first line: is there a heatmap, and of what."""
    gap = _gap(explanation)
    likelier = "the selected words get likelier without the image" if _rises(gap) else None
    if explanation.method.get("fallback"):
        weak = likelier or "the selected words depend too little on the whole image"
        return f"Heatmap by occlusion: {'the method found no region' if gap >= FLOOR else weak}"
    if explanation.status == "not_visual":
        if explanation.reliance.get("words") == 0:
            return "No focus region: the answer has no words"
        return "No focus region: no word of the answer is visually grounded"
    if explanation.status == "weak_gap":
        if gap >= FLOOR:
            return "No focus region: the method found no region that the answer depends on"
        return f"No focus region: {likelier or 'the selected words depend too little on the image'}"
    if explanation.config.get("tokens", "auto") != "auto":
        return "The selected words depend on the image"
    return "The answer is visually grounded"


def reliance(explanation: Explanation) -> dict[str, Any]:
    """The panel: a verdict on the word with the largest drop, what it has to do with the selected words, figures."""
    found = explanation.reliance
    score = float(found.get("score") or 0.0)
    strongest = found.get("strongest_word")
    share = "under 1 %" if 0 < score < 0.01 else "over 99 %" if 0.99 < score < 1 else f"{100 * score:.0f} %"
    words, grounded = found.get("words", 0), found.get("relevant_words", 0)
    alpha = float(found.get("alpha") or 0.0)
    verdict = f"\u201c{strongest}\u201d {DEGREES[bisect.bisect_right(BOUNDS, score)]} on the image."
    sentence = f"The image accounts for {share} of its likelihood, the largest part of any word of the answer."
    if not strongest:
        verdict, sentence = "No word of the answer is visually grounded.", ""
    elif explanation.status == "not_visual":
        verdict = "No word of the answer is visually grounded."
        sentence = (
            f"Of \u201c{strongest}\u201d the image accounts for {share} of the likelihood, of any other word for less."
        )
    else:
        sentence += _beside(explanation, score)
    return {
        "score": score,
        "verdict": verdict,
        "sentence": sentence,
        "figures": [
            ("Score", f"{score:.3f} (0: no word depends on the image, 1: one does entirely)"),
            ("Grounded words", f"{grounded} of {words}"),
            _drop(_gap(explanation)),
            (
                "Threshold",
                f"a grounded word loses more than {alpha:g} nat{'' if alpha == 1 else 's'}, "
                f"or {FLOOR:g} and becomes another",
            ),
            ("Baseline", str(found.get("baseline", NOTHING))),
        ],
    }


def _beside(explanation: Explanation, score: float) -> str:
    """What the strongest word has to do with selected words that lose little."""
    gap = _gap(explanation)
    if gap >= FLOOR or score < BOUNDS[0]:
        return ""
    totals: dict[int, float] = {}
    for token in explanation.tokens:
        if token.word is not None:
            totals[token.word] = totals.get(token.word, 0.0) + token.llr
    largest = max(totals, key=lambda word: totals[word], default=None)
    if any(token.selected for token in explanation.tokens if token.word == largest):
        together = f"get likelier without it, by {_nats(-gap)}" if _rises(gap) else f"lose {_nats(gap)}"
        return f" The image makes other selected words less likely: together they {together}."
    which = f"get likelier without the image, by {_nats(-gap)}" if _rises(gap) else f"lose {_nats(gap)}"
    return f" It is not among the selected words, which {which}."


def _drop(gap: float) -> tuple[str, str]:
    """What the selected words lose without the image, or gain."""
    name, value = ("Rise", -gap) if _rises(gap) else ("Drop", gap)
    return name, f"{_nats(value)} without the image, the selected words together"


def _rises(gap: float) -> bool:
    """Whether words get likelier without the image, by as much as is shown."""
    return round(gap, 2) < 0


def _gap(explanation: Explanation) -> float:
    return float(explanation.reliance.get("gap") or 0.0)


def _nats(value: float) -> str:
    return f"{number(value)} nats"
