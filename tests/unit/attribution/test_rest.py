"""Places behind the first ones: what holds the answer after all comes next, what holds it down comes last."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from toy import ToyScore, constant
from wherelook.attribution.rest import AREAS, TAIL, rank_rest

IMAGE_SIZE = (120, 120)
GRID = (12, 12)


def kept(masks: torch.Tensor, rows: slice, columns: slice) -> torch.Tensor:
    """Share of an area that the mask keeps."""
    return functional.interpolate(masks[:, None], size=GRID, mode="area")[:, 0, rows, columns].mean(dim=(1, 2))


MAIN, SECOND, AGAINST = (slice(1, 3), slice(1, 4)), (slice(8, 11), slice(1, 4)), (slice(8, 11), slice(8, 11))


def two_hold_it_one_is_against_it(masks: torch.Tensor) -> torch.Tensor:
    """The second area holds the answer only where the main one is gone; the third turns it away then."""
    main, second, against = (kept(masks, *area) for area in (MAIN, SECOND, AGAINST))
    return (4 * torch.maximum(main, 0.5 * second) - 2 * (1 - main) * against - 4)[:, None]


def main_only() -> torch.Tensor:
    saliency = torch.zeros(GRID)
    saliency[MAIN] = torch.tensor([[0.9, 1.0, 0.8], [0.7, 0.9, 0.6]])
    return saliency


def test_what_else_holds_the_answer_comes_next_and_what_is_against_it_last():
    score = ToyScore(two_hold_it_one_is_against_it, image_size=IMAGE_SIZE)
    before = main_only()
    ranked = rank_rest(score, before, steps=4, shown=False)
    assert torch.equal(before, main_only())  # not changed in place
    assert np.unravel_index(int(ranked.argmax()), GRID) == (1, 2)
    elsewhere = torch.ones(GRID, dtype=torch.bool)
    for area in (MAIN, SECOND, AGAINST):
        elsewhere[area] = False
    # The middles: at the edges the smoothed gradient mixes with what lies beside it.
    assert ranked[MAIN].max() > ranked[9, 2] > ranked[elsewhere].median() > ranked[9, 9]
    lowest = np.unravel_index(int(ranked.argmin()), GRID)
    assert lowest[0] >= 8
    assert lowest[1] >= 8


@pytest.mark.parametrize(("shown", "passes"), [(False, 4), (True, 8)])
def test_cost(shown, passes):
    score = ToyScore(two_hold_it_one_is_against_it, image_size=IMAGE_SIZE)
    rank_rest(score, main_only(), steps=4, shown=shown)
    assert score.cost.backward == score.cost.forward == passes * len(AREAS)


def test_the_background_stays_dark():
    score = ToyScore(two_hold_it_one_is_against_it, image_size=IMAGE_SIZE)
    ranked = rank_rest(score, main_only(), steps=4, shown=True)
    assert ranked.max() == 1
    assert ranked.min() >= 0
    assert ranked[5, 6] <= TAIL


def test_maps_that_nothing_can_be_ranked_behind_stay():
    saliency = main_only()
    assert torch.equal(rank_rest(ToyScore(constant, image_size=IMAGE_SIZE), saliency, steps=2, shown=True), saliency)
    score = ToyScore(two_hold_it_one_is_against_it, image_size=IMAGE_SIZE)
    assert not rank_rest(score, torch.zeros(GRID), steps=2, shown=True).any()
    assert score.cost.forward == 0
