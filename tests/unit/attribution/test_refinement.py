"""Functions from a map to a map: peaks that do nothing alone lose their rank, the rest is ranked to its end."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from toy import ToyScore, constant
from wherelook.attribution import METHODS, method_name, refinement
from wherelook.attribution.refinement import AREAS, FLOOR, TAIL, check_peaks, hill_basins, rank_rest, refine, refined
from wherelook.score import Passes

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


# ---- peaks ----


def two_peaks() -> torch.Tensor:
    """A higher peak at the left, a lower one at the right."""
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    left = torch.exp(-((rows - 5) ** 2 + (columns - 2) ** 2) / 2)
    right = 0.6 * torch.exp(-((rows - 6) ** 2 + (columns - 9) ** 2) / 2)
    return left + right


def right_half_matters(masks: torch.Tensor) -> torch.Tensor:
    """One token, whose log-probability follows the mean of the mask around the right peak."""
    return 4 * masks[:, 5:8, 8:11].mean(dim=(1, 2))[:, None] - 4


def test_the_peak_that_the_model_needs_becomes_the_highest():
    score = ToyScore(right_half_matters, image_size=IMAGE_SIZE)
    saliency = two_peaks()
    before = saliency.clone()
    verified = check_peaks(score, saliency, count=4)
    assert torch.equal(saliency, before)  # not changed in place
    assert np.unravel_index(int(saliency.argmax()), saliency.shape) == (5, 2)
    assert np.unravel_index(int(verified.argmax()), verified.shape) == (6, 9)
    assert float(verified[5, 2]) == pytest.approx(FLOOR * float(saliency[5, 2]), rel=1e-5)
    assert score.cost.forward <= 2 + 2 * 2  # both ends, and two passes for each of the two peaks


def test_a_map_of_zeros_stays_and_costs_nothing():
    score = ToyScore(right_half_matters, image_size=IMAGE_SIZE)
    assert not check_peaks(score, torch.zeros(5, 5), count=3).any()
    assert score.cost.forward == 0


def test_basins_of_two_hills_meet_in_the_valley():
    basins = hill_basins(two_peaks().double().numpy())
    assert basins[5, 2] == 5 * 12 + 2
    assert basins[6, 9] == 6 * 12 + 9
    assert basins[4, 0] == basins[5, 2]
    assert basins[8, 11] == basins[6, 9]
    assert set(np.unique(basins)) == {5 * 12 + 2, 6 * 12 + 9}


def test_every_cell_of_a_plain_map_is_its_own_basin():
    assert np.array_equal(hill_basins(np.ones((3, 4))), np.arange(12).reshape(3, 4))


# ---- any method, refined ----


def test_the_published_method_is_refined_by_the_same_functions():
    """The map is that of the functions in turn; the announced passes are its own and those of the functions."""
    method = METHODS["igos+"]
    settings = replace(method.presets["paper"], iterations=1, noise=0.0)
    functions = (refinement.smooth, partial(check_peaks, count=2), partial(rank_rest, steps=2))
    better = refined(method, *functions, cost=Passes(4 + 2 * len(AREAS), 2 * len(AREAS)))
    score = ToyScore(two_hold_it_one_is_against_it, image_size=IMAGE_SIZE)
    picture = torch.zeros(3, *IMAGE_SIZE)
    found = better.run(score, picture, settings, seed=0).saliency
    assert score.cost.backward == better.passes(settings, IMAGE_SIZE).backward == 20 + 2 * len(AREAS)
    assert score.cost.forward - 2 <= better.passes(settings, IMAGE_SIZE).forward
    plain = method.run(score, picture, settings, seed=0).saliency
    assert torch.equal(found, refine(score, plain, functions))
    assert not torch.equal(found, plain)
    assert method_name(better) == "igos_plus+smooth+check_peaks+rank_rest"
