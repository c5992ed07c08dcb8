"""Deletion and insertion: exact areas, the replayed images, the guard."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from toy import ToyScore, additive
from wherelook.canvas import Canvas
from wherelook.metrics import METRICS, replay, top_area
from wherelook.metrics.deletion_insertion import MINIMUM_GAP, area, removal_order, replay_grid


def score_of_share(curve, *, image_size=(28, 28)) -> ToyScore:
    """A score whose probability is `curve` of the share of the image that is kept."""
    return ToyScore(
        lambda masks: torch.log(curve(masks.mean(dim=(1, 2)).double())).float()[:, None], image_size=image_size
    )


def random_map(height: int, width: int) -> Tensor:
    return torch.rand(height, width, generator=torch.Generator().manual_seed(height))


# ---- areas ----


@pytest.mark.parametrize(
    ("fractions", "curve", "expected"),
    [
        ([0, 0.5, 1], [0.3, 0.3, 0.3], 0.3),
        ([0, 0.5, 1], [0, 0, 0], 0.0),
        ([0, 0.2, 1], [1, 1, 1], 1.0),
        ([0, 1], [1, 0], 0.5),
        ([0, 0.25, 0.5, 0.75, 1], [1, 1, 0, 0, 0], 0.375),  # a step: the ramp counts half
        ([0, 0.1, 1], [0, 1, 0], 0.5),  # steps of unequal width
    ],
)
def test_areas_are_exact(fractions, curve, expected):
    assert area(np.array(fractions, float), np.array(curve, float)) == pytest.approx(expected, abs=1e-15)


def test_curves_of_zeros_and_ones_have_areas_zero_and_one():
    saliency = torch.rand(5, 5, generator=torch.Generator().manual_seed(0))
    impossible = replay(ToyScore(lambda masks: torch.full((len(masks), 1), -2000.0)), saliency)
    certain = replay(ToyScore(lambda masks: torch.zeros(len(masks), 3)), saliency)
    assert (impossible.deletion, impossible.insertion) == (0.0, 0.0)
    assert (certain.deletion, certain.insertion) == (1.0, 1.0)
    assert certain.deletion_normalized is certain.insertion_normalized is None


def test_a_probability_that_is_the_share_kept_has_area_one_half():
    """On a line every trapezoid is exact."""
    result = replay(score_of_share(lambda share: share.clamp_min(1e-300)), random_map(9, 9), steps=50)
    assert result.deletion == pytest.approx(0.5, abs=1e-6)
    assert result.insertion_normalized == pytest.approx(0.5, abs=1e-6)


# ---- the replayed images ----


def test_each_step_removes_the_next_most_salient_cells():
    """A known order on a grid of 2 x 8: deletion masks lack the first cells, insertion masks hold only them."""
    order = torch.randperm(16, generator=torch.Generator().manual_seed(4))
    saliency = torch.empty(16)
    saliency[order] = torch.linspace(1, 0, 16)
    score = ToyScore(additive(torch.ones(2, 8)), image_size=(10, 40))
    result = replay(score, saliency.reshape(2, 8), steps=8, cells=4)
    (masks,) = score.asked
    assert masks.shape == (14, 2, 8)
    for step in range(1, 8):
        expected = torch.ones(16)
        expected[order[: 2 * step]] = 0
        assert torch.equal(masks[step - 1].flatten(), expected)
        assert torch.equal(masks[7 + step - 1].flatten(), 1 - expected)
    np.testing.assert_allclose(result.fractions, np.arange(9) / 8)


def test_additive_score_in_closed_form():
    """log p = -sum of the removed weights: the curves follow from the order alone."""
    weights = torch.tensor([[0.5, 0.1], [0.3, 0.7]])
    result = replay(ToyScore(additive(weights), image_size=(10, 10)), weights, steps=4, cells=2)
    falling = np.exp(-np.array([0, 0.7, 1.2, 1.5, 1.6]))
    rising = np.exp(-np.array([1.6, 0.9, 0.4, 0.1, 0]))
    np.testing.assert_allclose(result.deletion_curve, falling, rtol=1e-6)
    np.testing.assert_allclose(result.insertion_curve, rising, rtol=1e-6)
    assert result.deletion == pytest.approx(area(np.arange(5) / 4, falling), rel=1e-6)
    low, high = np.exp(-1.6), 1.0
    assert result.insertion_normalized == pytest.approx(area(np.arange(5) / 4, (rising - low) / (high - low)), rel=1e-6)


@given(st.integers(0, 10_000))
def test_no_map_beats_the_one_that_knows_the_weights(seed):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(4, 4, generator=generator)
    score = ToyScore(additive(weights), image_size=(16, 16))
    best = replay(score, weights, steps=16, cells=4)
    other = replay(score, torch.rand(4, 4, generator=generator), steps=16, cells=4)
    assert best.deletion <= other.deletion + 1e-9
    assert best.insertion >= other.insertion - 1e-9
    worst = replay(score, 1 - weights, steps=16, cells=4)
    assert worst.deletion >= other.deletion - 1e-9


def test_the_score_is_the_geometric_mean_over_tokens():
    def function(masks: Tensor) -> Tensor:
        return masks.mean(dim=(1, 2))[:, None] * torch.tensor([-1.0, -3.0])

    result = replay(ToyScore(function), random_map(4, 4), steps=2)
    assert result.deletion_curve[0] == pytest.approx(np.exp(-2))
    assert result.deletion_curve[-1] == 1


def test_cost_is_two_forwards_per_inner_step():
    score = ToyScore(additive(torch.ones(3, 3)))
    replay(score, torch.ones(3, 3), steps=12)
    assert (score.cost.forward, score.cost.backward) == (22, 0)


def test_more_steps_than_cells_repeat_points_and_change_no_area():
    weights = torch.tensor([[0.5, 1.0], [0.25, 2.0]])
    score = ToyScore(additive(weights), image_size=(8, 8))
    exact, many = (replay(score, weights, steps=steps, cells=2) for steps in (4, 50))
    corners = [np.flatnonzero(many.fractions == fraction)[0] for fraction in exact.fractions]
    np.testing.assert_allclose(many.deletion_curve[corners], exact.deletion_curve)
    assert many.deletion == pytest.approx(exact.deletion, rel=1e-6)


@pytest.mark.parametrize(
    ("size", "cells", "expected"),
    [((224, 224), 28, (28, 28)), ((100, 400), 28, (14, 56)), ((400, 100), 28, (56, 14)), ((1, 5000), 28, (1, 1980))],
)
def test_the_grid_has_square_cells_and_follows_the_image_alone(size, cells, expected):
    assert replay_grid(size, cells) == expected


def test_maps_of_any_resolution_are_replayed_on_the_same_grid():
    shapes = []
    for side in (3, 28, 100):
        score = ToyScore(additive(torch.ones(2, 2)), image_size=(50, 90))
        replay(score, random_map(side, side), steps=4)
        shapes.append(score.asked[0].shape)
    assert shapes == [(6, *replay_grid((50, 90)))] * 3


def test_ties_are_removed_in_reading_order():
    assert removal_order(torch.ones(3, 4), (3, 4), Canvas(((3, 4),))).tolist() == list(range(12))
    assert removal_order(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), (2, 2), Canvas(((2, 2),))).tolist() == [1, 2, 0, 3]


# ---- normalization ----


@pytest.mark.parametrize(("gap", "guarded"), [(MINIMUM_GAP * 0.99, True), (MINIMUM_GAP * 1.01, False), (-0.3, True)])
def test_a_small_gap_is_guarded(gap, guarded):
    result = replay(score_of_share(lambda share: 0.5 + gap * share), random_map(28, 28), steps=10)
    assert (result.deletion_normalized is None) is guarded
    assert (result.insertion_normalized is None) is guarded
    assert 0 < result.deletion < 1


def test_points_outside_the_ends_are_clipped():
    """Half the image scores higher than the whole, and the other half lower than none."""
    weights = torch.tensor([[-1.0, -1.0], [1.0, 2.0]])
    score = ToyScore(additive(weights), image_size=(8, 8))
    result = replay(score, torch.tensor([[1.0, 1.0], [0.0, 0.0]]), steps=2, cells=2)
    assert result.deletion_curve[1] > result.deletion_curve[0]
    assert result.insertion_curve[1] < result.insertion_curve[0]
    assert result.deletion_normalized == pytest.approx(0.75)  # 1, clipped 1, 0
    assert result.insertion_normalized == pytest.approx(0.25)  # 0, clipped 0, 1


def test_every_figure_of_a_replay_is_listed_with_its_direction():
    for name, better in {"deletion": "lower", "insertion": "higher"}.items():
        assert METRICS[name].better == METRICS[f"{name}_normalized"].better == better


# ---- another grid: regions ----


def test_regions_go_as_a_whole_in_the_order_of_their_mean():
    """Left half, middle and right end of three, one and two columns; the score is the share of each that is kept."""
    regions = np.array([[0, 0, 0, 1, 2, 2]] * 2)
    saliency = torch.tensor([[0.0, 0.0, 0.0, 1.0, 0.5, 0.5]] * 2)
    weights = torch.tensor([[0.0, 0.0, 0.0, 2.0, 1.0, 1.0]] * 2)
    score = ToyScore(additive(weights), image_size=(2, 6))
    result = replay(score, saliency, regions=regions, steps=10)
    assert result.fractions == pytest.approx([0, 1 / 6, 3 / 6, 1])
    assert np.log(result.deletion_curve) == pytest.approx([0, -4, -8, -8], abs=1e-5)
    assert np.log(result.insertion_curve) == pytest.approx([-8, -4, 0, 0], abs=1e-5)


def test_fewer_reads_than_regions():
    regions = np.arange(16).reshape(4, 4)
    score = ToyScore(additive(torch.ones(4, 4)), image_size=(4, 4))
    result = replay(score, torch.arange(16.0).reshape(4, 4), regions=regions, steps=4)
    assert result.fractions == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert score.cost.forward == 2 * 3


@pytest.mark.parametrize(("share", "count"), [(0.125, 98), (0.25, 196), (0.0, 0), (1.0, 784)])
def test_the_top_of_the_area(share, count):
    saliency = torch.arange(784.0).reshape(28, 28)
    mask = top_area(saliency, Canvas(((224, 224),)), share)
    assert mask.shape == (28, 28)
    assert mask.sum() == count
    assert count == 0 or saliency[mask == 1].min() == 784 - count
