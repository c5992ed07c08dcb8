"""Where people looked, and maps that agree with them or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toy import map_context
from wherelook.data.datasets import Sample
from wherelook.data.images import load_image
from wherelook.data.sources import ImageInMemory
from wherelook.evaluation.people import human_measures
from wherelook.evaluation.records import SCHEMA
from wherelook.metrics import choose_metrics, measure_map


def in_memory(pixels: np.ndarray) -> ImageInMemory:
    return ImageInMemory(load_image(pixels))


@pytest.fixture
def looked_at_left() -> Sample:
    """People looked at the left half of an image of 32 x 64."""
    seen = np.zeros((32, 64, 3), np.uint8)
    seen[:, :32] = 200
    return Sample("1", in_memory(np.zeros_like(seen)), "What?", attention=(in_memory(seen),))


def focus_measures(saliency: torch.Tensor, sample: Sample) -> dict[str, float | None]:
    return measure_map(choose_metrics(["map"]), map_context(saliency, human=sample.human))


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
    assert found["center_mass"] == pytest.approx(0.25)
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


def person(columns: slice) -> ImageInMemory:
    seen = np.zeros((32, 64, 3), np.uint8)
    seen[:, columns] = 200
    return in_memory(seen)


def test_people_who_look_at_the_same_place_agree(looked_at_left):
    source = looked_at_left.source
    same = Sample("1", source, "What?", attention=(person(slice(0, 32)),) * 3)
    found = human_measures(same)
    assert (found["human_people"], found["human_ceiling"]) == (3, pytest.approx(1))
    assert found["human_share"] == pytest.approx(0.5)
    assert found["human_center"] == pytest.approx(0, abs=0.01)  # the middle lies on neither half
    apart = Sample("1", source, "What?", attention=(person(slice(0, 32)), person(slice(32, 64))))
    assert human_measures(apart)["human_ceiling"] < -0.9  # not -1: cells at the border hold some of both


def test_people_who_look_at_the_middle_agree_with_a_map_of_the_center(looked_at_left):
    sample = Sample("1", looked_at_left.source, "What?", attention=(person(slice(24, 40)),))
    found = human_measures(sample)
    side = Sample("1", looked_at_left.source, "What?", attention=(person(slice(48, 64)),))
    assert human_measures(side)["human_center"] < 0
    assert found["human_center"] > 0.4
    assert found["human_ceiling"] is None  # one person says nothing of how far people agree


def test_nobody_looked_and_columns_are_those_of_records(looked_at_left):
    assert human_measures(Sample("1", looked_at_left.source, "What?")) == {}
    assert set(human_measures(looked_at_left)) <= set(SCHEMA.names)
