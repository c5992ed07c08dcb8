"""The smallest sufficient area, for answers that need a known part of the image."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wherelook.canvas import Canvas
from wherelook.metrics import METRICS, sufficient_area
from wherelook.metrics.answer_change import HALVINGS

CANVAS = Canvas(((64, 64),))
RAMP = torch.arange(784.0).reshape(28, 28).flip(0, 1) / 784
"""Most salient first is reading order."""


@given(st.floats(0.01, 1))
def test_an_answer_that_needs_a_known_area_gets_it(needed):
    """The truth is met from above, to the resolution of the bisection and a cell of the replay grid."""
    found = sufficient_area(RAMP, CANVAS, lambda mask: float(mask.mean()) >= needed)
    assert needed - 1 / 784 <= found <= needed + 2**-HALVINGS + 1 / 784


def test_a_map_that_ranks_the_needed_place_last_needs_all():
    def holds(mask):
        return bool(mask[-1, -4:].all())

    assert sufficient_area(RAMP, CANVAS, holds) == 1
    assert sufficient_area(RAMP.flip(0, 1), CANVAS, holds) == pytest.approx(2**-HALVINGS)


def test_every_halving_asks_once_and_shows_the_most_salient_cells():
    asked = []

    def holds(mask):
        asked.append(mask)
        return mask.mean() > 0.3

    found = sufficient_area(RAMP, CANVAS, holds, halvings=4)
    assert found == 5 / 16
    assert [round(float(mask.mean()) * 16) for mask in asked] == [8, 4, 6, 5]
    for mask in asked:
        assert mask.flatten().tolist() == sorted(mask.flatten().tolist(), reverse=True)


def test_answers_that_always_or_never_hold():
    assert sufficient_area(RAMP, CANVAS, lambda _: True) == 2**-HALVINGS
    assert sufficient_area(RAMP, CANVAS, lambda _: False) == 1


def test_the_cost_that_is_listed_is_the_number_of_tries():
    assert HALVINGS == 7
    assert METRICS["sufficient_area"].cost == "seven answers"
