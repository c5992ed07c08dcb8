"""Peaks that do nothing alone lose their rank; peaks that hold the answer keep it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toy import ToyScore
from wherelook.attribution.peak_checks import FLOOR, hill_basins, verify_peaks

IMAGE_SIZE = (120, 120)


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
    verified = verify_peaks(score, saliency, peaks=4)
    assert torch.equal(saliency, before)  # not changed in place
    assert np.unravel_index(int(saliency.argmax()), saliency.shape) == (5, 2)
    assert np.unravel_index(int(verified.argmax()), verified.shape) == (6, 9)
    assert float(verified[5, 2]) == pytest.approx(FLOOR * float(saliency[5, 2]), rel=1e-5)
    assert score.cost.forward <= 2 + 2 * 2  # both ends, and two passes for each of the two peaks


def test_a_map_of_zeros_stays_and_costs_nothing():
    score = ToyScore(right_half_matters, image_size=IMAGE_SIZE)
    assert not verify_peaks(score, torch.zeros(5, 5), peaks=3).any()
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
