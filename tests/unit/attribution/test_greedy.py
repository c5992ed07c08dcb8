"""The search on scores whose best order is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from toy import ToyScore, additive, constant, planted
from wherelook.attribution.greedy import (
    PRESETS,
    RANK,
    WINDOW_PRESETS,
    GreedySettings,
    WindowSettings,
    greedy,
    greedy_window,
    passes,
    window_passes,
)
from wherelook.canvas import map_size
from wherelook.errors import InputError

IMAGE_SIZE = (60, 90)
GRID = (5, 7)  # of 36 cells on this image
CELLS = GreedySettings("cells", 36)


def image(size: tuple[int, int] = IMAGE_SIZE) -> Tensor:
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(0))


def weights(grid: tuple[int, int] = GRID, total: float = 4.0) -> Tensor:
    """A different weight in each cell, shuffled, at least a tenth of the largest."""
    count = grid[0] * grid[1]
    values = 0.1 + torch.randperm(count, generator=torch.Generator().manual_seed(1)) / count
    return (total * values / values.sum()).reshape(grid)


def per_region(saliency: Tensor, grid: tuple[int, int] = GRID) -> Tensor:
    """One value for each cell; they must be constant within it."""
    rows, columns = saliency.shape[0] // grid[0], saliency.shape[1] // grid[1]
    parts = saliency.reshape(grid[0], rows, grid[1], columns)
    assert torch.equal(parts.amin(dim=(1, 3)), parts.amax(dim=(1, 3)))
    return parts.amax(dim=(1, 3))


def order(values: Tensor) -> list[int]:
    return values.flatten().argsort(descending=True, stable=True).tolist()


def evidence() -> Tensor:
    region = torch.zeros(6, 9)
    region[1:3, 5:7] = 1.0
    return region


# ---- the full search ----


def test_grid_of_the_tests():
    assert map_size(CELLS.count**0.5, IMAGE_SIZE) == GRID


def test_on_an_additive_score_the_order_is_that_of_the_weights():
    truth = weights()
    saliency = per_region(greedy(ToyScore(additive(truth), image_size=IMAGE_SIZE), image(), CELLS).saliency)
    assert order(saliency) == order(truth)
    assert len(saliency.unique()) == truth.numel()  # no ties


def test_saliency_is_the_share_of_the_gain_that_is_still_to_come():
    """s(S) = exp(-(weights outside S)), so that F along the sorted order is known in closed form."""
    truth = torch.tensor([[0.3, 0.1], [0.9, 0.2]])
    score = ToyScore(additive(truth), image_size=(40, 40))
    result = greedy(score, image((40, 40)), GreedySettings("cells", 4))
    kept = [0.0, 0.9, 1.2, 1.4, 1.5]  # nats of the chosen regions
    objective = [math.exp(have - 1.5) + 1 - math.exp(-have) for have in kept]
    expected = [
        (1 - RANK) * (1 - (objective[place] - objective[0]) / (objective[4] - objective[0])) + RANK * (1 - place / 4)
        for place in range(4)
    ]
    found = per_region(result.saliency, (2, 2)).flatten()[[2, 0, 3, 1]]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-5, rtol=0)
    assert found[0] == 1
    assert result.trace == pytest.approx(objective[1:4], abs=1e-5)


def test_the_score_is_the_geometric_mean_over_tokens():
    """Token 1 rests on the left half, token 2, twice as much, on the right half."""

    def function(masks: Tensor) -> Tensor:
        half = masks.shape[2] // 2
        left, right = masks[:, :, :half].mean(dim=(1, 2)), masks[:, :, half:].mean(dim=(1, 2))
        return torch.stack([left - 1, 2 * right - 2], dim=1)

    score = ToyScore(function, image_size=(40, 40))
    result = greedy(score, image((40, 40)), GreedySettings("cells", 4))
    # All four quarters are tried; the first of the right ones is taken: half of token 2, over two tokens.
    assert result.trace[0] == pytest.approx(math.exp(-1.0) + 1 - math.exp(-0.5), abs=1e-5)
    assert order(per_region(result.saliency, (2, 2)))[:2] == [1, 3]


def test_both_what_a_region_brings_and_what_is_lost_without_it_count():
    """Cells 0 and 1 each hold the answer (neither is missed alone); cell 2 is needed, and does nothing alone."""

    def function(masks: Tensor) -> Tensor:
        quarters = torch.nn.functional.interpolate(masks[:, None], size=(2, 2), mode="nearest-exact").flatten(1)
        redundant = torch.maximum(quarters[:, 0], quarters[:, 1])
        return 4 * (0.5 * redundant + 0.5 * quarters[:, 2] * redundant - 1)[:, None]

    score = ToyScore(function, image_size=(40, 40))
    result = greedy(score, image((40, 40)), GreedySettings("cells", 4))
    # Removing 2 leaves exp(-2); showing 0 gives exp(-2): the gains are 1 - exp(-2) and exp(-2) - exp(-4).
    assert order(per_region(result.saliency, (2, 2))) == [2, 0, 1, 3]
    assert result.trace[0] == pytest.approx(math.exp(-4) + 1 - math.exp(-2), abs=1e-5)
    assert result.trace[1] == pytest.approx(1 + 1 - math.exp(-2), abs=1e-5)


@pytest.mark.parametrize("count", [1, 2, 9, 35])
def test_the_full_search_costs_what_it_says(count):
    size = (20, 20 * count)
    settings = GreedySettings("cells", count)
    regions = math.prod(map_size(count**0.5, size))
    score = ToyScore(additive(torch.ones(1, regions) / regions), image_size=size)
    greedy(score, image(size), settings)
    assert score.cost.forward == passes(settings, size).forward == max(0, regions * (regions + 1) - 2)
    assert score.cost.backward == 0


def test_masks_come_in_chunks_that_do_not_grow_and_are_hard():
    score = ToyScore(additive(weights((10, 15))), image_size=IMAGE_SIZE)
    greedy(score, image(), GreedySettings("cells", 150))
    assert max(len(masks) for masks in score.asked) == 64
    assert all(((masks == 0) | (masks == 1)).all() for masks in score.asked[:20])


@pytest.mark.parametrize("run", [greedy, greedy_window])
def test_the_planted_region_comes_first(run):
    settings = {greedy: GreedySettings(count=30), greedy_window: WindowSettings(count=30, window=8)}[run]
    saliency = run(ToyScore(planted(evidence()), image_size=IMAGE_SIZE), image(), settings).saliency
    inside = torch.nn.functional.interpolate(evidence()[None, None], size=saliency.shape, mode="nearest-exact")[0, 0]
    assert inside[saliency == 1].mean() > 0.3  # a superpixel crosses the evidence's border
    assert saliency[inside > 0].mean() > 3 * saliency[inside == 0].mean()


@pytest.mark.parametrize(
    ("run", "presets"), [(greedy, PRESETS), (greedy_window, WINDOW_PRESETS)], ids=["greedy", "window"]
)
@pytest.mark.parametrize("preset", ["best", "fast", "paper"])
def test_a_score_that_ignores_the_mask_gives_zeros(run, presets, preset):
    result = run(ToyScore(constant, image_size=IMAGE_SIZE), image(), presets[preset])
    assert not result.saliency.any()


def test_the_noise_of_float32_is_not_drawn():
    def function(masks: Tensor) -> Tensor:
        return (-3.0 + 3e-7 * masks.mean(dim=(1, 2)))[:, None]

    assert not greedy(ToyScore(function, image_size=IMAGE_SIZE), image(), CELLS).saliency.any()


def test_a_region_that_does_harm_comes_last_and_lifts_nothing():
    truth = torch.tensor([[0.5, -0.8], [1.0, 0.2]])
    saliency = per_region(
        greedy(ToyScore(additive(truth), image_size=(40, 40)), image((40, 40)), GreedySettings("cells", 4)).saliency,
        (2, 2),
    )
    assert order(saliency) == [2, 0, 3, 1]
    assert saliency[0, 1] == pytest.approx(RANK / 4, abs=1e-6)


def test_an_answer_that_is_likelier_without_the_image_has_a_map_where_something_helps():
    truth = torch.tensor([[0.5, -3.0], [-2.0, -1.0]])
    score = ToyScore(additive(truth), image_size=(40, 40))
    for run, settings in ((greedy, GreedySettings("cells", 4)), (greedy_window, WindowSettings("cells", 4))):
        saliency = run(score, image((40, 40)), settings).saliency
        assert order(per_region(saliency, (2, 2)))[0] == 0
        assert torch.isfinite(saliency).all()
        assert saliency.max() == 1


@pytest.mark.parametrize("run", [greedy, greedy_window])
def test_nothing_is_drawn_from_a_seed(run):
    settings = {greedy: PRESETS["best"], greedy_window: WINDOW_PRESETS["best"]}[run]
    first, second = (
        run(ToyScore(planted(evidence()), image_size=IMAGE_SIZE), image(), settings, seed=seed) for seed in (0, 1)
    )
    assert first.saliency.numpy().tobytes() == second.saliency.numpy().tobytes()
    assert first.trace == second.trace


def test_equal_regions_are_taken_in_reading_order():
    score = ToyScore(additive(torch.ones(2, 2)), image_size=(40, 40))
    saliency = greedy(score, image((40, 40)), GreedySettings("cells", 4)).saliency
    assert order(per_region(saliency, (2, 2))) == [0, 1, 2, 3]


# ---- the windowed search ----


@pytest.mark.parametrize("together", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("window", [3, 8])
def test_a_window_finds_the_order_of_an_additive_score(window, together):
    truth = weights()
    settings = WindowSettings("cells", 36, window=window, rounds=100, together=together, stop=1.0)
    score = ToyScore(additive(truth), image_size=IMAGE_SIZE)
    saliency = per_region(greedy_window(score, image(), settings).saliency)
    assert order(saliency) == order(truth)
    assert score.cost.forward < passes(CELLS, IMAGE_SIZE).forward / 2


def test_a_window_over_everything_is_the_full_search():
    score = ToyScore(planted(weights() ** 4), image_size=IMAGE_SIZE)
    settings = WindowSettings("cells", 36, window=36, rounds=36, together=1.0, stop=1.0)
    full, window = greedy(score, image(), CELLS), greedy_window(score, image(), settings)
    count = len(window.trace)  # it stops when nothing is left to gain
    assert window.trace == full.trace[:count]
    assert order(per_region(window.saliency))[:count] == order(per_region(full.saliency))[:count]


def test_regions_left_at_the_end_are_ranked_by_their_last_known_gain():
    truth = weights()
    settings = WindowSettings("cells", 36, window=4, rounds=1, together=1.0)
    score = ToyScore(additive(truth), image_size=IMAGE_SIZE)
    result = greedy_window(score, image(), settings)
    assert len(result.trace) == 1
    assert score.cost.forward == 2 * truth.numel()
    assert order(per_region(result.saliency)) == order(truth)


def test_stopping_early_saves_passes_and_keeps_the_evidence():
    truth = 0.01 * weights()  # all different: none are accepted together
    truth[1, 2], truth[3, 4], truth[4, 0] = 3.0, 2.0, 1.0
    results, costs = [], []
    for stop in (0.95, 1.0):
        score = ToyScore(additive(truth), image_size=IMAGE_SIZE)
        settings = WindowSettings("cells", 36, window=6, rounds=100, together=1.0, stop=stop)
        results.append(greedy_window(score, image(), settings))
        costs.append(score.cost.forward)
    assert costs[0] < costs[1] / 2
    assert len(results[0].trace) == 3
    assert order(per_region(results[0].saliency))[:3] == order(truth)[:3]


def test_it_stops_only_when_the_image_without_the_chosen_regions_has_lost_the_answer_too():
    """Either of two regions holds the answer: the first alone brings it back, but it is lost only without both."""

    def function(masks: Tensor) -> Tensor:
        quarters = torch.nn.functional.interpolate(masks[:, None], size=(2, 2), mode="nearest-exact").flatten(1)
        return 5 * (torch.maximum(quarters[:, 1], quarters[:, 2]) - 1)[:, None]

    settings = WindowSettings("cells", 4, together=1.0, stop=0.95)
    result = greedy_window(ToyScore(function, image_size=(40, 40)), image((40, 40)), settings)
    # The two tie, and are accepted together.
    assert order(per_region(result.saliency, (2, 2)))[:2] == [1, 2]
    assert result.trace[-1] == pytest.approx(2 - math.exp(-5), abs=1e-5)


def test_several_are_accepted_at_once_where_they_gain_about_the_same():
    truth = torch.zeros(GRID)
    truth[2, 1:6] = torch.tensor([1.0, 0.99, 0.98, 0.97, 0.3])
    score = ToyScore(additive(truth), image_size=IMAGE_SIZE)
    progress = []
    settings = WindowSettings("cells", 36, window=6, together=0.9, stop=0.95)
    result = greedy_window(
        score, image(), settings, progress=lambda stage, done, total: progress.append((stage, done, total))
    )
    assert progress == [("search", 4, 35), ("search", 5, 35)]
    assert order(per_region(result.saliency))[:5] == [15, 16, 17, 18, 19]
    assert len(result.trace) == 2
    assert score.cost.forward == (2 * 35 + 2) + 2 * 6  # the four together are scored once more, as one set


@pytest.mark.parametrize("preset", ["best", "fast", "paper"])
@pytest.mark.parametrize("function", [planted(evidence()), additive(weights()), constant])
def test_the_window_costs_no_more_than_it_says(preset, function):
    settings = WINDOW_PRESETS[preset]
    score = ToyScore(function, image_size=IMAGE_SIZE)
    greedy_window(score, image(), settings)
    assert 0 < score.cost.forward <= window_passes(settings, IMAGE_SIZE).forward


def test_presets_cost_what_presets_may():
    for most in (
        lambda name: passes(PRESETS[name], IMAGE_SIZE).forward,
        lambda name: window_passes(WINDOW_PRESETS[name], IMAGE_SIZE).forward,
    ):
        assert most("best") <= 200
        assert most("fast") <= most("best") / 4
        assert most("paper") > 1000


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (300, 7)])
@pytest.mark.parametrize("regions", ["superpixels", "cells"])
def test_images_of_any_shape(size, regions):
    score = ToyScore(additive(torch.ones(1, 1)), image_size=size)
    for run, settings in (
        (greedy, GreedySettings(regions, 6)),
        (greedy_window, WindowSettings(regions, 49, window=7, rounds=7)),
    ):
        saliency = run(score, image(size), settings).saliency
        assert torch.isfinite(saliency).all()
        assert saliency.max() == 1


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (GreedySettings, {"count": 0}, "count must be from 1 to 4096, not 0"),
        (GreedySettings, {"count": 5000}, "count must be from 1 to 4096, not 5000"),
        (WindowSettings, {"count": 0}, "count must be from 1 to 4096, not 0"),
        (WindowSettings, {"window": 0}, "window must be from 1 to 4096, not 0"),
        (WindowSettings, {"rounds": 0}, "rounds must be from 1 to 4096, not 0"),
        (WindowSettings, {"together": 0.0}, "together must be above 0 and at most 1, not 0.0"),
        (WindowSettings, {"stop": 1.1}, "stop must be above 0 and at most 1, not 1.1"),
    ],
)
def test_settings_that_cannot_be(kind, values, message):
    with pytest.raises(InputError, match=message):
        kind(**values)
