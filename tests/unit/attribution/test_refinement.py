"""Places behind the first ones: what holds the answer after all comes next, what holds it down comes last."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from toy import ToyScore, constant
from wherelook.attribution import refinement
from wherelook.attribution.refinement import AREAS, TAIL, rank_rest

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


@pytest.mark.parametrize("shown", [False, True])
def test_the_formula_by_hand(monkeypatch, shown):
    """One area, three path points, on a score that is not linear; every constant differs from its neutral value."""
    monkeypatch.setattr(refinement, "AREAS", (0.25,))
    weights = torch.linspace(-1, 1.5, 16).reshape(4, 4)

    def curved(masks: torch.Tensor) -> torch.Tensor:
        resized = functional.interpolate(masks[:, None], size=(4, 4), mode="nearest-exact")[:, 0]
        return -((resized * weights).sum(dim=(1, 2)) - weights.sum()).square()[:, None]

    def slope(mask: torch.Tensor) -> torch.Tensor:
        return -2 * ((mask * weights).sum() - weights.sum()) * weights

    saliency = torch.tensor([[0.1, 0.9, 0.2, 0.1], [0.3, 0.8, 1.0, 0.2], [0.1, 0.7, 0.3, 0.1], [0.0, 0.1, 0.2, 0.1]])
    first = saliency >= 0.7
    points = [step / 3 * ~first for step in (1, 2, 3)]
    points += [first + step / 3 * ~first for step in (0, 1, 2)] if shown else []
    slopes = sum(slope(point) for point in points) / 3 * ~first
    signed = torch.from_numpy(gaussian_filter(slopes.double().numpy(), 1.5, mode="nearest")).float() * ~first
    signed = signed / signed.abs().max()
    gap, without = float(curved(torch.zeros(1, 4, 4))), float(curved(points[2][None]))
    left = min(1.0, max(0.0, (without - gap) / (0 - gap)))
    assert 0 < left < 1
    behind = 0.99 * torch.maximum(0.5 * saliency, left * signed.clamp_min(0) * 0.7) + 0.01 * (1 + signed) / 2
    expected = torch.where(first, 0.99 * saliency + 0.01, behind)
    found = rank_rest(ToyScore(curved, image_size=(40, 40)), saliency, steps=3, shown=shown)
    torch.testing.assert_close(found, expected / expected.max(), atol=1e-5, rtol=0)


def test_the_first_places_stay_first_and_in_order(monkeypatch):
    """Also where what lies beside them speaks against the answer, or for it more than they do."""
    monkeypatch.setattr(refinement, "AREAS", (0.05,))
    for sign in (-1.0, 1.0):
        weights = torch.zeros(GRID)
        weights[2, 2:4], weights[2, 4] = 3.0, 5 * sign
        saliency = torch.full(GRID, 0.01)
        saliency[1:4, 1:4] = torch.linspace(0.9, 1.0, 9).reshape(3, 3)
        score = ToyScore(lambda masks, w=weights: ((kept_all(masks) - 1) * w).sum(dim=(1, 2))[:, None])
        ranked = rank_rest(score, saliency, steps=2, shown=True)
        order = saliency.flatten().argsort(descending=True, stable=True)[:7]  # 5 % of 144 cells
        assert torch.equal(ranked.flatten().argsort(descending=True, stable=True)[:7], order)


def kept_all(masks: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(masks[:, None], size=GRID, mode="nearest-exact")[:, 0]


def test_where_the_map_is_zero_no_place_is_a_first_one():
    """One positive cell: it alone is removed, and equal evidence elsewhere gets equal ranks."""
    weights = torch.zeros(GRID)
    weights[6, 6], weights[1, 1], weights[10, 10] = 3.0, 1.0, 1.0
    saliency = torch.zeros(GRID)
    saliency[6, 6] = 1.0
    ranked = rank_rest(ToyScore(lambda masks: ((kept_all(masks) - 1) * weights).sum(dim=(1, 2))[:, None]), saliency,
                       steps=2, shown=False)  # fmt: skip
    assert ranked[1, 1] == pytest.approx(float(ranked[10, 10]), abs=1e-6)
    assert ranked[6, 6] > ranked[1, 1] > ranked[1, 10]


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
