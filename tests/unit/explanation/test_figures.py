"""Figures as people read them."""

from __future__ import annotations

import math

import pytest

from wherelook.explanation.figures import digits_for, number, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.474, "0.47"),
        (-0.001, "0.00"),
        (-1.5, "\N{MINUS SIGN}1.50"),
        (4700.0, "4,700.00"),
        (None, "\N{EN DASH}"),
        (math.nan, "\N{EN DASH}"),
        (math.inf, "∞"),
        (-math.inf, "\N{MINUS SIGN}∞"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(("share", "text"), [(0.471, "47"), (-0.004, "0"), (-0.25, "\N{MINUS SIGN}25"), (1.0, "100")])
def test_percentages_have_no_minus_before_a_zero(share, text):
    assert percent(share) == f"{text}\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    ("width", "digits"), [(0.5, 2), (0.1, 2), (0.004, 3), (0.0005, 4), (0.0, 2), (math.inf, 2), (1e-9, 6)]
)
def test_a_narrow_interval_brings_digits(width, digits):
    assert digits_for(width) == digits
