"""A share against chances that differ from item to item."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from wherelook.stats import chance_test, share_interval


def test_equal_chances_give_the_exact_binomial_test():
    outcomes = [1] * 21 + [0] * 79
    test = chance_test(outcomes, [0.1] * 100, resamples=99_999)
    # Of the distance from the mean, 11: 21 or more, as 0 or -1 is below it by 10 only.
    assert test.p == pytest.approx(binomtest(21, 100, 0.1, alternative="greater").pvalue, abs=5e-4)
    assert (test.statistic, test.n, test.clusters) == (21.0, 100, None)
    share = share_interval(outcomes)
    assert test.effect.value == pytest.approx(0.11)
    assert (test.effect.low, test.effect.high) == pytest.approx((share.low - 0.1, share.high - 0.1))


def test_certain_chances_leave_nothing_to_find():
    assert chance_test([1, 0, 1], [1.0, 0.0, 1.0], resamples=99).p == 1.0


def test_false_findings_stay_at_the_level_for_rare_hits_in_clusters_too():
    rng = np.random.default_rng(0)
    chances = np.full(60, 0.1)
    clusters = np.repeat(np.arange(20), 3)
    alone = [chance_test(rng.random(60) < chances, chances, resamples=499).p <= 0.05 for _ in range(400)]
    together = [
        chance_test(rng.random(20)[clusters] < chances, chances, clusters=clusters.tolist(), resamples=499).p <= 0.05
        for _ in range(400)
    ]
    assert np.mean(alone) < 0.08
    assert np.mean(together) < 0.08


def test_repeats_of_an_item_in_its_cluster_add_no_certainty():
    outcomes, chances = [1, 1, 1, 0, 0, 1, 0, 1], [0.2] * 8
    once = chance_test(outcomes, chances, resamples=4999)
    names = [place for place in range(8) for _ in range(3)]
    thrice = chance_test(np.repeat(outcomes, 3), [0.2] * 24, clusters=names, resamples=4999)
    assert thrice.p == pytest.approx(once.p, abs=0.01)
    assert thrice.clusters == 8


@pytest.mark.parametrize(
    ("outcomes", "chances", "message"),
    [
        ([1], [0.1, 0.2], "1 outcomes and 2 chances are not pairs"),
        ([1, 0], [0.1, 1.5], "chances must lie in [0, 1]"),
        ([1, 2], [0.1, 0.5], "outcomes must be yes or no (1 or 0)"),
    ],
)
def test_what_is_refused(outcomes, chances, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        chance_test(outcomes, chances)
    assert str(error.value) == message
