"""Intervals, paired tests and corrections against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from wherelook.stats import bootstrap_interval, holm, paired_test, wilson_interval


def test_wilson_interval_of_a_known_share():
    """Wilson 1927 for 8 of 10: (0.490, 0.943)."""
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == 1


@pytest.mark.parametrize(("successes", "total"), [(1, 0), (0, 0), (3, 2), (-1, 2)])
def test_what_is_not_a_share(successes, total):
    with pytest.raises(ValueError, match="is not a share"):
        wilson_interval(successes, total)


def test_bootstrap_interval_is_about_the_normal_one():
    values = np.random.default_rng(0).normal(3, 2, 400)
    low, high = bootstrap_interval(list(values))
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)
    assert (low, high) == bootstrap_interval(list(values))
    with pytest.raises(ValueError, match="no values"):
        bootstrap_interval([])


def test_paired_test_counts_all_sign_flips():
    """Three differences of one sign: of 8 ways to flip them 2 are as extreme."""
    assert paired_test([2, 3, 4], [1, 1, 1]) == pytest.approx(2 / 8)
    assert paired_test([1, 1, 1], [2, 3, 4]) == pytest.approx(2 / 8)
    assert paired_test([1.0, 2.0], [1.0, 2.0]) == 1
    assert paired_test([3.0], [1.0]) == 1


def test_paired_test_on_many_pairs():
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, 60)
    base = rng.normal(0, 5, 60)
    assert paired_test(list(base + noise + 0.8), list(base)) < 0.001
    assert paired_test(list(base + noise - noise.mean()), list(base)) > 0.9
    assert paired_test(list(base + noise), list(base)) == paired_test(list(base + noise), list(base))


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 2.0])])
def test_what_is_not_paired(first, second):
    with pytest.raises(ValueError, match="are not pairs"):
        paired_test(first, second)


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
