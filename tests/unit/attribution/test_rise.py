"""RISE: the mean of masks by probability, the planted region first, flat memory, masks with the paper's statistics."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from toy import ToyScore, constant, planted
from wherelook.attribution.occlusion import CHUNK
from wherelook.attribution.rise import PRESETS, RiseSettings, passes, random_masks, rise
from wherelook.canvas import map_size
from wherelook.errors import InputError


def run(score: ToyScore, settings: RiseSettings, **options) -> Tensor:
    return rise(score, torch.full((3, *score.canvas.size), 0.5), settings, **options).saliency


def linear(truth: Tensor, *, floor: float = 0.1):
    """The probability (not its logarithm) is floor + the part of `truth` that is kept; two tokens share it unevenly."""

    def function(masks: Tensor) -> Tensor:
        probability = floor + (masks * truth).sum(dim=(1, 2))
        return probability.log()[:, None] + torch.tensor([0.5, -0.5])

    # The ends that ToyScore asks for are of the image's size; RISE never looks at them.
    return lambda masks: function(masks) if masks.shape[1:] == truth.shape else constant(masks)


def evidence(top: int, left: int) -> Tensor:
    region = torch.zeros(6, 9)
    region[top : top + 2, left : left + 2] = 1.0
    return region


@pytest.mark.parametrize("centered", [False, True])
def test_the_streamed_map_is_the_equation(centered):
    """Recomputed from all masks at once: 1 / (E[M] N) sum p(M) M, then moved and scaled to [0, 1]."""
    score = ToyScore(planted(evidence(1, 2)), image_size=(60, 90))
    settings = RiseSettings(masks=150, probability=0.3, centered=centered)
    saliency = run(score, settings, seed=3)
    masks = torch.cat(score.asked).double()
    probabilities = score.function(masks.float()).double().mean(dim=1).exp()
    if centered:
        probabilities = probabilities - probabilities.mean()
    expected = (probabilities[:, None, None] * masks).sum(dim=0) / (0.3 * 150)
    expected = expected.clamp_min(0) if centered else expected - expected.min()
    torch.testing.assert_close(saliency, (expected / expected.max()).float(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("centered", "tolerance"), [(True, 0.12), (False, 0.25)])
def test_a_probability_that_adds_up_is_found_through_the_masks_covariance(centered, tolerance):
    """p(M) = floor + sum_j w_j M_j, so the map less E[p] is Cov(M) w / E[M], with Cov from masks of another seed."""
    truth = torch.zeros(28, 28)
    truth[4:9, 17:22] = 0.02
    saliency = run(ToyScore(linear(truth)), RiseSettings(masks=4000, centered=centered))
    masks = random_masks(4000, (7, 7), (28, 28), 0.5, torch.Generator().manual_seed(99)).flatten(1)
    expected = (torch.cov(masks.T) @ truth.flatten()).reshape(28, 28)
    expected = expected.clamp_min(0) / expected.max()
    assert (saliency - expected).abs().max() < tolerance
    assert torch.corrcoef(torch.stack([saliency.flatten(), expected.flatten()]))[0, 1] > 0.96


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize("place", [(0, 0), (3, 6), (2, 1)])
def test_the_planted_region_ranks_first(preset, place):
    region = evidence(*place)
    saliency = run(ToyScore(planted(region), image_size=(60, 90)), PRESETS[preset])
    inside = torch.nn.functional.interpolate(region[None, None], size=saliency.shape, mode="nearest-exact")[0, 0] > 0
    assert inside.flatten()[saliency.argmax()]
    assert saliency[inside].mean() > 2 * saliency[~inside].mean()


def test_centering_needs_fewer_masks():
    """Same score, same masks: the distance to the map of many masks."""
    function = planted(evidence(2, 4))

    def distance(centered: bool, seed: int) -> float:
        few, many = (
            run(ToyScore(function, image_size=(60, 90)), RiseSettings(masks=n, centered=centered), seed=seed)
            for n in (64, 4000)
        )
        return 1 - float(torch.corrcoef(torch.stack([few.flatten(), many.flatten()]))[0, 1])

    assert sum(distance(True, seed) for seed in range(5)) < 0.8 * sum(distance(False, seed) for seed in range(5))


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize("size", [(64, 64), (60, 90), (1, 50), (300, 7), (1, 1)])
def test_announced_passes_small_chunks_and_a_map(preset, size):
    settings = PRESETS[preset]
    score, calls = ToyScore(lambda masks: 3 * masks.mean(dim=(1, 2))[:, None] - 3, image_size=size), []
    saliency = run(score, settings, progress=lambda *arguments: calls.append(arguments))
    announced = passes(settings, size)
    assert (score.cost.forward, score.cost.backward) == (announced.forward, announced.backward) == (settings.masks, 0)
    assert max(len(masks) for masks in score.asked) <= CHUNK
    assert all(masks.min() >= 0 and masks.max() <= 1 for masks in score.asked)
    assert calls[-1] == ("rise", settings.masks, settings.masks)
    assert len(calls) == len(score.asked)
    assert (saliency.dtype, saliency.shape) == (torch.float32, map_size(settings.cells, size))
    assert saliency.min() >= 0
    assert saliency.max() == 1


def test_what_the_presets_cost():
    assert PRESETS["best"].masks <= 200
    assert 4 * PRESETS["fast"].masks <= PRESETS["best"].masks
    assert (PRESETS["paper"].masks, PRESETS["paper"].grid, PRESETS["paper"].probability) == (4000, 7, 0.5)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_score_that_ignores_the_mask_gives_no_picture(preset):
    def rounding(masks: Tensor) -> Tensor:
        return constant(masks) + 1e-6 * masks.mean(dim=(1, 2))[:, None]

    for function in (constant, rounding):
        assert not run(ToyScore(function), PRESETS[preset]).any()


def test_an_answer_made_worse_by_every_place_has_no_centered_map():
    score = ToyScore(lambda masks: -2 * masks.mean(dim=(1, 2))[:, None])
    assert not run(score, RiseSettings(masks=2000, grid=2, centered=True)).any()


def test_same_seed_same_map_other_seed_other_map_and_nothing_global():
    state = torch.get_rng_state()
    first, second, other = (run(ToyScore(planted(evidence(1, 2))), PRESETS["fast"], seed=seed) for seed in (5, 5, 6))
    assert first.numpy().tobytes() == second.numpy().tobytes()
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


# ---- the masks ----


@pytest.mark.parametrize("probability", [0.2, 0.5])
def test_every_place_of_a_mask_has_the_same_expectation(probability):
    masks = random_masks(6000, (7, 7), (28, 28), probability, torch.Generator().manual_seed(0))
    error = masks.std(dim=0) / 6000**0.5
    assert ((masks.mean(dim=0) - probability).abs() < 5 * error).all()


def test_masks_are_smooth_at_the_grids_scale():
    """Linear between cells: 28 steps over 7 of the 8 pieces to which 7 cells are enlarged, so 7 / 32 of a cell each."""
    masks = random_masks(500, (7, 7), (28, 28), 0.5, torch.Generator().manual_seed(0))
    steps = torch.cat([masks.diff(dim=1).abs().flatten(), masks.diff(dim=2).abs().flatten()])
    assert float(steps.max()) == pytest.approx(7 / 32, abs=1e-5)
    assert masks.flatten(1).std(dim=1).min() > 0.1  # and none is nearly flat


def test_shifts_are_uniform_over_a_piece_of_the_enlarged_grid():
    """Two cells enlarged to three pieces: the first value lies at 0.5 + shift, and mixes both cells beyond 0.75."""
    masks = random_masks(4000, (1, 2), (1, 2), 0.5, torch.Generator().manual_seed(0))[:, 0, 0]
    mixed = (masks > 0) & (masks < 1)
    differing_cells, beyond = 0.5, 0.75
    assert float(mixed.float().mean()) == pytest.approx(differing_cells * beyond, abs=5 * (0.25 / 4000) ** 0.5)
    assert ((masks - 0.5).abs()[mixed] > 0).all()
    assert float((masks - masks.round()).abs().max()) == pytest.approx(0.5, abs=0.01)  # a shift of nearly a piece


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"masks": 0}, "masks must be from 1 to 1000000, not 0"),
        ({"grid": 1}, "grid must be from 2 to cells"),
        ({"grid": 29}, "grid must be from 2 to cells, .* grid = 29, cells = 28"),
        ({"cells": 513}, "cells at most 512: not grid = 7, cells = 513"),
        ({"probability": 0.0}, "probability must be between 0 and 1, not 0.0"),
        ({"probability": 1.0}, "probability must be between 0 and 1, not 1.0"),
    ],
)
def test_settings_that_cannot_be(values, message):
    with pytest.raises(InputError, match=message):
        RiseSettings(**values)
