"""What the replay of a map tells of the words it is for."""

from __future__ import annotations

import re

import torch

from toy import ToyScore
from wherelook.metrics import replay
from wherelook.metrics.deletion_insertion import unexplained_word
from wherelook.score import Token

SIDE = 28


def token(text: str, word: int) -> Token:
    return Token(text, word, 0.0, 0.0, 0.0, True, word)


def planted_map(right: float, left: float = 1.0) -> torch.Tensor:
    """Two squares: one on the left, and one on the right of which a word of two tokens depends."""
    saliency = torch.zeros(SIDE, SIDE)
    saliency[10:16, 2:8] = left
    saliency[10:16, 20:26] = right
    return saliency


def planted_score() -> ToyScore:
    """Words 0 and 1 lose 3 nats each with the left square, word 2 (two tokens) 7.6 with the right one."""

    def function(masks: torch.Tensor) -> torch.Tensor:
        cells = torch.nn.functional.adaptive_avg_pool2d(masks[:, None], SIDE)[:, 0]
        left, right = cells[:, 10:16, 2:8].mean(dim=(1, 2)), cells[:, 10:16, 20:26].mean(dim=(1, 2))
        return torch.stack([3 * left - 3, 3 * left - 3, 4 * right - 4, 3.6 * right - 3.6], dim=-1)

    return ToyScore(function, image_size=(SIDE, SIDE))


WORDS = (token("A", 0), token(" red", 1), token(" bi", 2), token("cycle", 2))


def test_a_map_that_hides_the_word_with_the_largest_drop_says_so():
    saliency = planted_map(right=0.4)
    result = replay(planted_score(), saliency, steps=50)
    assert result.drops.shape == (51, 4)
    assert result.drops[0].tolist() == [0, 0, 0, 0]
    assert torch.allclose(torch.tensor(result.drops[-1]), torch.tensor([3.0, 3.0, 4.0, 3.6], dtype=torch.float64))
    (note,) = unexplained_word(result, saliency, WORDS, outline=0.5)
    assert note.startswith("the outlined region does not explain 'bicycle', the word with the largest drop: without ")
    assert re.search(r"without the region it loses 0\.\d\d of its 7\.60 nats; --per-token, or --tokens", note)


def test_a_map_that_shows_the_word_says_nothing():
    for saliency in (planted_map(right=0.6), planted_map(right=1.0, left=0.4)):
        assert unexplained_word(replay(planted_score(), saliency, steps=50), saliency, WORDS, outline=0.5) == ()


def test_one_word_hides_nothing():
    score = planted_score()
    score.original, score.baseline = score.original[2:], score.baseline[2:]
    function = score.function
    score.function = lambda masks: function(masks)[:, 2:]
    saliency = planted_map(right=0.4)
    assert unexplained_word(replay(score, saliency, steps=20), saliency, WORDS[2:], outline=0.5) == ()


def test_a_map_that_misses_everything_hides_no_word_in_particular():
    saliency = torch.zeros(SIDE, SIDE)
    saliency[:4, :4] = 1.0
    assert unexplained_word(replay(planted_score(), saliency, steps=20), saliency, WORDS, outline=0.5) == ()
