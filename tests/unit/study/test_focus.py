"""What is measured of where one map lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wherelook.data.images import load_image
from wherelook.data.samples import Sample
from wherelook.data.sources import ImageInMemory
from wherelook.study.focus import focus_measures
from wherelook.study.records import SCHEMA


def in_memory(pixels: np.ndarray) -> ImageInMemory:
    return ImageInMemory(load_image(pixels))


@pytest.fixture
def looked_at_left() -> Sample:
    """People looked at the left half of an image of 32 x 64."""
    seen = np.zeros((32, 64, 3), np.uint8)
    seen[:, :32] = 200
    return Sample("1", in_memory(np.zeros_like(seen)), "What?", attention=(in_memory(seen),))


def half(columns: slice) -> torch.Tensor:
    saliency = torch.zeros(16, 16)
    saliency[:, columns] = 1
    return saliency


def test_a_map_on_the_half_that_people_looked_at(looked_at_left):
    found = focus_measures(half(slice(0, 8)), looked_at_left)
    assert found["human_pointing"] == 1
    assert found["human_energy"] > 0.95  # the rest is the slope of the interpolation
    assert found["human_correlation"] > 0.95
    assert found["effective_area"] == pytest.approx(0.5)
    assert (found["centre_x"], found["centre_y"]) == pytest.approx((16, 16))
    assert found["centre_mass"] == pytest.approx(0.25)
    assert found["border_mass"] == pytest.approx(1 - 0.75 * 0.375 / 0.5)


def test_a_map_on_the_other_half(looked_at_left):
    found = focus_measures(half(slice(8, 16)), looked_at_left)
    assert found["human_pointing"] == 0
    assert found["human_energy"] < 0.05
    assert found["human_correlation"] < -0.9


def test_columns_are_those_of_records_and_people_are_optional(looked_at_left):
    assert set(focus_measures(half(slice(0, 8)), looked_at_left)) <= set(SCHEMA.names)
    nobody = Sample("1", looked_at_left.source, "What?")
    assert not [name for name in focus_measures(half(slice(0, 8)), nobody) if name.startswith("human")]
