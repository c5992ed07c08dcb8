"""The permutation test against counts by hand, planted effects and exchanged clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherelook.stats import paired_test


def test_paired_test_counts_all_sign_flips():
    """Three differences of one sign: of 8 ways to flip them 2 are as extreme."""
    assert paired_test([2, 3, 4], [1, 1, 1]).p == pytest.approx(2 / 8)
    assert paired_test([1, 1, 1], [2, 3, 4]).p == pytest.approx(2 / 8)
    assert paired_test([1.0, 2.0], [1.0, 2.0]).p == 1
    assert paired_test([3.0], [1.0]).p == 1


def test_paired_test_on_many_pairs():
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, 60)
    base = rng.normal(0, 5, 60)
    assert paired_test(list(base + noise + 0.8), list(base)).p < 0.001
    assert paired_test(list(base + noise - noise.mean()), list(base)).p > 0.9
    assert paired_test(list(base + noise), list(base)) == paired_test(list(base + noise), list(base))


def test_a_cluster_flips_as_one():
    """Nine differences of one sign in three clusters: 2 of 8 ways, not of 512."""
    test = paired_test([1.0] * 9, [0.0] * 9, clusters=["a"] * 4 + ["b"] * 3 + ["c"] * 2)
    assert test.p == pytest.approx(2 / 8)
    assert (test.n, test.clusters) == (9, 3)
    assert test.standardized is None  # no spread to measure by
    assert paired_test([1.0] * 9, [0.0] * 9).p == pytest.approx(2 / 512)


def test_what_a_test_says():
    text = str(paired_test([2.0, 3.0, 5.0], [1.0, 1.0, 1.0], clusters=[1, 2, 2]))
    assert text.startswith("paired permutation test: p = 0.5, n = 3, clusters = 2; mean difference 2.33 (95% interval")
    assert text.endswith("Assumes that without an effect the differences of a whole cluster are as likely as their "
                         "negatives.")  # fmt: skip


def test_the_interval_holds_what_the_same_signs_do_not_reject():
    """Six differences 1 to 6, as counted by hand: only equal signs are as far from zero below m = 1, p = 2 / 64."""
    test = paired_test([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0] * 6)
    assert test.p == pytest.approx(2 / 64)
    assert (test.effect.low, test.effect.high) == (pytest.approx(1.0), pytest.approx(6.0))
    few = paired_test([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5).effect  # 2 / 32 is above 5 %: nothing can be rejected
    assert (few.low, few.high) == (-np.inf, np.inf)


@given(
    st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.0, 0.5, 1.0, 1.0, 3.0]), min_size=1, max_size=30),
    st.booleans(),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_interval_and_p_of_a_paired_test_agree(differences, clustered):
    clusters = [place // 2 for place in range(len(differences))] if clustered else None
    test = paired_test(differences, [0.0] * len(differences), clusters=clusters, resamples=499)
    assert test.effect.low <= test.effect.value <= test.effect.high
    assert (test.effect.low <= 1e-9 and test.effect.high >= -1e-9) == (test.p >= 0.05)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 2.0])])
def test_what_is_not_paired(first, second):
    with pytest.raises(ValueError, match="are not pairs"):
        paired_test(first, second)
