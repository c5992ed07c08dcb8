"""Which tokens make up an answer, told by their texts alone.

Servers decode tokens one by one. The text of one may lack the space before it, and a token that is only a part of a
character comes as U+FFFD. So texts are compared without white space, U+FFFD stands for one character or more together
with its neighbors, and a token's own text is then cut out of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

PART = "\ufffd"
"""What decoders write for a part of a character."""


def align(texts: Sequence[str], answer: str) -> list[str] | None:
    """The part of the answer that each token stands for; None if they do not make up this answer.

    The parts joined are the answer. White space goes with the token after it; a character of several tokens goes to the
    last of them.

    Args:
        texts: of all its tokens, as decoded one by one.
        answer: without white space at its ends.
    """
    letters = [index for index, letter in enumerate(answer) if not letter.isspace()]
    squeezed = "".join(answer[index] for index in letters)
    ends: list[int] = []  # of each token, in `squeezed`
    position = 0
    waiting: int | None = None  # the last part of a character, whose end the next whole token tells
    for text in texts:
        piece = squeeze(text)
        if PART in piece:
            waiting = len(ends)
        elif piece:
            if waiting is not None:
                position = squeezed.find(piece, position + 1)
                ends[waiting:] = [position] * (len(ends) - waiting)
                waiting = None
            if position < 0 or not squeezed.startswith(piece, position):
                return None
            position += len(piece)
        ends.append(position)
    if waiting is not None and position < len(squeezed):
        position = len(squeezed)
        ends[waiting:] = [position] * (len(ends) - waiting)
        waiting = None
    if waiting is not None or position != len(squeezed):
        return None
    cuts = [0, *(letters[end - 1] + 1 if end else 0 for end in ends)]
    return [answer[start:end] for start, end in pairwise(cuts)]


def answer_length(texts: Sequence[str], answer: str) -> int | None:
    """How many tokens at the end of `texts` make up the answer; None if none do.

    A prompt's tokens stand before. Where several counts fit, since parts of characters stand for anything, it is the
    largest: a shorter one would take a part for more than its character.
    """
    wanted = len(squeeze(answer))
    letters, count = 0, None
    for start in range(len(texts) - 1, -1, -1):
        piece = squeeze(texts[start])
        letters += len(piece.replace(PART, ""))
        if letters > wanted:
            break
        if piece and align(texts[start:], answer) is not None:
            count = len(texts) - start
    return count


def squeeze(text: str) -> str:
    """Without white space."""
    return "".join(text.split())
