"""Which words of an answer are visually grounded: the log-likelihood ratio rule of the paper, applied to whole words.

The paper (arXiv 2503.13891) keeps token t when LLR_t = log p(a_t | I, Q, a_<t) - log p(a_t | B, Q, a_<t) exceeds
alpha = 1 nat, I being the image and B its baseline. Users read words, and a tokenizer cuts words where it likes: here
the ratio of a word decides: the sum of the ratios of its tokens, which by the chain rule is the word's own ratio. What
is a word is said in `wherelook.words`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from wherelook.arguments import ALPHA, FLIP_FLOOR
from wherelook.score import Status, Token
from wherelook.word_selection import named_words
from wherelook.words import Word, comparable, find_words

SHOWN = 0.005
"""Nats. A smaller drop or rise is told as 0.00."""


@dataclass(frozen=True)
class Reliance:
    """How much an answer relies on the image.

    Attributes:
        score: in [0, 1]: 1 - exp(-r), r being the largest ratio of a word (0 if negative): the share of its
            likelihood that the answer's most visual word owes to the image. 0.63 is one nat.
        largest: that ratio, nats; 0 for an answer without words.
        gap: nats that the selected tokens lose together with the baseline image; negative where they get likelier.
        words: words in the answer.
        relevant_words: those among them that pass the rule, whatever was selected.
        strongest_word: the word with the largest ratio; None for an answer without words.
        alpha: the threshold, nats.
        baseline: the baseline image's name.
    """

    score: float
    largest: float
    gap: float
    words: int
    relevant_words: int
    strongest_word: str | None
    alpha: float
    baseline: str


def word_indices(pieces: Sequence[str], special: Sequence[bool] | None = None) -> list[int | None]:
    """The word that each token belongs to, counted from 0 in reading order; None for punctuation and white space.

    Args:
        pieces: the text that each token adds to the answer. A token that completes no character (a part of a
            multi-byte one) is empty and goes with the next.
        special: which tokens are special ones; they belong to no word.
    """
    return _located(pieces, special)[0]


def _located(
    pieces: Sequence[str], special: Sequence[bool] | None = None
) -> tuple[list[int | None], list[tuple[Word, int]]]:
    """The number of every token's word, and the words as they are written, each with its number.

    Where a token spans two words both have its number.
    """
    starts, position = [], 0
    for piece in pieces:
        starts.append(position)
        position += len(piece)
    spans: list[tuple[int, int]] = []
    for index in range(len(pieces)):
        carrier = index
        while carrier < len(pieces) - 1 and not pieces[carrier]:
            carrier += 1
        spans.append((starts[carrier], starts[carrier] + len(pieces[carrier])))

    numbers: list[int | None] = [None] * len(pieces)
    written: list[tuple[Word, int]] = []
    number, previous, first = -1, set[int](), 0
    for word in find_words("".join(pieces)):
        while first < len(spans) and spans[first][1] <= word.start:
            first += 1
        tokens = set()
        for index in range(first, len(spans)):
            if spans[index][0] >= word.end:
                break
            if spans[index][1] > word.start and not (special is not None and special[index]):
                tokens.add(index)
        if not tokens:
            continue
        if not tokens & previous:  # a token that spans two words joins them
            number += 1
            previous = set()
        previous |= tokens
        written.append((word, number))
        for index in tokens:
            numbers[index] = number
    return numbers, written


def select(
    pieces: Sequence[str],
    ids: Sequence[int],
    log_prob: Sequence[float],
    log_prob_baseline: Sequence[float],
    flips: Sequence[bool],
    *,
    special: Sequence[bool] | None = None,
    wanted: str = "auto",
    alpha: float = ALPHA,
) -> tuple[Token, ...]:
    """The answer's tokens with their ratios, the ones to explain marked.

    A word is visually relevant when its ratio exceeds `alpha`; or when the baseline image makes the model choose
    another token in it and the ratio is at least 0.2 nats. Without the second clause no answer to a question with two
    possible answers could pass: guessing right costs ln 2 = 0.69 nats at most. No token is dropped by its position, and
    an answer of one token follows the same rule. Punctuation and special tokens are never selected.

    Args:
        pieces: text of each token.
        ids: their ids.
        log_prob: with the image, nats.
        log_prob_baseline: with the baseline image, nats.
        flips: whether the model's choice is the token with the image and another one with the baseline.
        special: which tokens are special ones.
        wanted: "auto" for that rule, "all" for every word, or the words to explain; see
            `wherelook.word_selection.named_words`.
        alpha: threshold in nats.

    Raises:
        InputError: what is wanted is not in the answer.
    """
    words, written = _located(pieces, special)
    ratios = [first - second for first, second in zip(log_prob, log_prob_baseline, strict=True)]
    if wanted == "auto":
        chosen = _relevant(words, ratios, flips, alpha)
    elif wanted == "all":
        chosen = {word for word in words if word is not None}
    else:
        places = named_words(wanted, [word for word, _ in written])
        chosen = {written[place][1] for place in places}
    return tuple(
        Token(
            text=pieces[i],
            id=ids[i],
            log_prob=log_prob[i],
            log_prob_baseline=log_prob_baseline[i],
            llr=ratios[i],
            selected=words[i] is not None and words[i] in chosen,
            word=words[i],
            flips=flips[i],
        )
        for i in range(len(ids))
    )


def measure_reliance(tokens: Sequence[Token], *, alpha: float, baseline: str) -> Reliance:
    """How much the answer relies on the image; see `Reliance`."""
    words = [token.word for token in tokens]
    ratios = [token.llr for token in tokens]
    totals = _word_totals(words, ratios)
    strongest = max(totals, key=lambda word: totals[word]) if totals else None
    largest = totals[strongest] if strongest is not None else 0.0
    return Reliance(
        score=1 - math.exp(-max(largest, 0.0)),
        largest=largest,
        gap=sum(token.llr for token in tokens if token.selected),
        words=len(totals),
        relevant_words=len(_relevant(words, ratios, [token.flips for token in tokens], alpha)),
        strongest_word=None if strongest is None else _text_of(strongest, words, [t.text for t in tokens]),
        alpha=alpha,
        baseline=baseline,
    )


def judge(tokens: Sequence[Token], reliance: Reliance, wanted: str) -> tuple[Status, str]:
    """Status and reason: whether the drop is large enough for mask optimization."""
    if reliance.words == 0:
        return "not_visual", "the answer has no words to explain (only punctuation or special tokens)"
    if not any(token.selected for token in tokens):
        return "not_visual", (
            f"no word passes the {reliance.alpha:g}-nat threshold with the {reliance.baseline} baseline "
            f"({_largest(reliance)}){_contradicted(tokens, reliance.alpha)}"
        )
    number = len({token.word for token in tokens if token.selected})
    lose = "the selected word loses" if number == 1 else f"the {number:,} selected words lose"
    if reliance.gap < -SHOWN:
        get = "the selected word gets" if number == 1 else f"the {number:,} selected words together get"
        return "weak_gap", (
            f"{get} likelier without the image, by {-reliance.gap:.2f} nats of log-likelihood with the "
            f"{reliance.baseline} baseline: there is no drop for mask optimization{_larger(reliance)}"
        )
    if reliance.gap < FLIP_FLOOR:
        return "weak_gap", (
            f"{lose} only {max(reliance.gap, 0):.2f} nats of log-likelihood with the {reliance.baseline} baseline: "
            f"below {FLIP_FLOOR:g} nats the drop is too small for mask optimization{_larger(reliance)}"
        )
    if wanted != "auto":
        return "ok", f"{lose} {reliance.gap:.2f} nats of log-likelihood with the {reliance.baseline} baseline"
    all_words = f"{reliance.words:,} word{'' if reliance.words == 1 else 's'}"
    grounded = "is visually grounded: it loses" if number == 1 else "are visually grounded: together they lose"
    return "ok", (
        f"{number:,} of {all_words} {grounded} {reliance.gap:.2f} nats of log-likelihood with the {reliance.baseline} "
        "baseline"
    )


def _largest(reliance: Reliance) -> str:
    """The word that loses most; where every word gains instead, that."""
    if reliance.largest < -SHOWN:
        least = f"{reliance.strongest_word!r} least, by {-reliance.largest:.2f} nats"
        return f"every word gets likelier without the image, {least}"
    return f"largest drop: {reliance.strongest_word!r}, {max(reliance.largest, 0):.2f} nats"


def _larger(reliance: Reliance) -> str:
    """Where the selected words lose little, but one word of the answer does not: which."""
    if reliance.relevant_words == 0 or reliance.largest <= max(reliance.gap, FLIP_FLOOR):
        return ""
    word = f"{reliance.strongest_word!r}, {reliance.largest:.2f} nats"
    return f"; the largest drop of a word of the answer is that of {word}"


def _contradicted(tokens: Sequence[Token], alpha: float) -> str:
    """The word that the image contradicts most, if by `alpha` nats or more: a given answer may be wrong."""
    words = [token.word for token in tokens]
    totals = _word_totals(words, [token.llr for token in tokens])
    lowest = min(totals, key=lambda word: totals[word], default=None)
    if lowest is None or totals[lowest] > -alpha:
        return ""
    word = _text_of(lowest, words, [token.text for token in tokens])
    return f"; the image contradicts {word!r} ({-totals[lowest]:.2f} nats more likely without it)"


def selected_words(tokens: Sequence[Token]) -> list[str]:
    """The words of the answer that are explained, in order, in the form in which words are compared."""
    words, pieces = [token.word for token in tokens], [token.text for token in tokens]
    chosen = sorted({token.word for token in tokens if token.selected and token.word is not None})
    return [found.key for word in chosen for found in find_words(_text_of(word, words, pieces))]


def holds_words(answer: str, words: Sequence[str]) -> bool:
    """Whether every one of `words` (see `selected_words`) is in an answer, as often as it is there; in any order.

    A free-text answer rarely comes back letter by letter; what it tells does. Where a script has no spaces, the same
    characters count, however a dictionary cuts them among others.
    """
    there = find_words(answer)
    missing = Counter(words)
    missing.subtract(word.key for word in there)
    text = comparable(answer)
    unspaced = {word.key for key in missing for word in find_words(key) if not word.spaced}
    return all(
        count <= 0 or (word in unspaced and text.count(word) >= words.count(word)) for word, count in missing.items()
    )


def _word_totals(words: Sequence[int | None], ratios: Sequence[float]) -> dict[int, float]:
    totals: dict[int, float] = {}
    for word, ratio in zip(words, ratios, strict=True):
        if word is not None:
            totals[word] = totals.get(word, 0.0) + ratio
    return totals


def _relevant(words: Sequence[int | None], ratios: Sequence[float], flips: Sequence[bool], alpha: float) -> set[int]:
    flipped = {word for word, flip in zip(words, flips, strict=True) if flip and word is not None}
    floor = min(alpha, FLIP_FLOOR)
    return {
        word
        for word, ratio in _word_totals(words, ratios).items()
        if ratio > alpha or (word in flipped and ratio >= floor)
    }


def _text_of(word: int, words: Sequence[int | None], pieces: Sequence[str]) -> str:
    """A word as the answer writes it; of words that a token joins the whole."""
    text = "".join(piece for piece, index in zip(pieces, words, strict=True) if index == word)
    found = find_words(text)
    return text[found[0].start : found[-1].end] if found else text.strip()
