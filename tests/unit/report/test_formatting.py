"""Figures with their intervals, and p-values with their relation."""

from __future__ import annotations

import numpy as np
import pytest

from wherelook.report import formatting
from wherelook.stats import Estimate, chance_test, paired_test, share_interval


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.47, 0.40, 0.55, "0.47 (0.40\N{EN DASH}0.55)"),
        (0.0003, 0.0001, 0.0006, "0.0003 (0.0001\N{EN DASH}0.0006)"),
        (-0.0002, -0.0004, 0.0, "\N{MINUS SIGN}0.0002 (\N{MINUS SIGN}0.0004 to 0.0000)"),
        (-0.3, -0.5, -0.1, "\N{MINUS SIGN}0.30 (\N{MINUS SIGN}0.50 to \N{MINUS SIGN}0.10)"),
        (1.0, 1.0, 1.0, "1.00 (1.00\N{EN DASH}1.00)"),
    ],
)
def test_a_figure_never_hides_behind_zeros(value, low, high, text):
    assert formatting.text(Estimate("x", value, low, high, "t")) == text


def test_one_of_many_is_no_zero_percent():
    """1 of 4,700: 0.02 %, not 0 % (0 to 0)."""
    assert (
        formatting.text(share_interval([1] + [0] * 4699), "percent") == "0.02\N{NO-BREAK SPACE}% (0.00\N{EN DASH}0.12)"
    )
    assert formatting.text(share_interval([1] * 47 + [0] * 53), "percent") == "47\N{NO-BREAK SPACE}% (38\N{EN DASH}57)"


def test_a_p_at_the_floor_of_the_random_draws_is_an_upper_bound():
    rng = np.random.default_rng(0)
    test = paired_test(rng.normal(size=40) + 2, np.zeros(40), resamples=99)
    assert (test.p, test.at_floor) == (0.01, True)
    assert formatting.p_value(test.p, floor=test.at_floor) == "≤\N{NO-BREAK SPACE}0.010"
    assert "p <= 0.01" in str(test)
    assert chance_test([1] * 30, [0.1] * 30, resamples=99).at_floor


def test_a_p_that_was_counted_is_no_bound():
    test = paired_test([1.0] * 7, [0.0] * 7)
    assert (test.p, test.at_floor) == (2 / 128, False)
    assert formatting.p_value(test.p, floor=test.at_floor) == "=\N{NO-BREAK SPACE}0.016"
