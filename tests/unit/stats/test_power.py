"""Power against sums over all outcomes and published sizes."""

from __future__ import annotations

from itertools import product
from math import comb

import pytest
from scipy.stats import binom, binomtest, chi2, norm

from wherelook.errors import InputError
from wherelook.stats import POWER, plan

SETTINGS = {"share": {"null": 0.5}, "mcnemar": {"discordant": 0.3}, "odds-ratio": {"baseline": 0.5, "exposed": 0.4}}
EFFECTS = {"share": 0.2, "mcnemar": 0.15, "paired": 0.4, "odds-ratio": 3.0, "spearman": 0.4}


def test_share_sums_over_all_counts():
    expected = sum(comb(15, k) * 0.6**k * 0.4 ** (15 - k) for k in range(16) if binomtest(k, 15, 0.3).pvalue <= 0.05)
    assert plan("share", 0.3, samples=15, null=0.3).power == pytest.approx(expected)


def test_mcnemar_sums_over_all_tables():
    n, first, second = 14, 0.4, 0.1
    expected = 0.0
    for a in range(n + 1):
        for b in range(n + 1 - a):
            if a + b and abs(a - b) / (a + b) ** 0.5 > norm.isf(0.025):
                rest = n - a - b
                ways = comb(n, a) * comb(n - a, b)
                expected += ways * first**a * second**b * (1 - first - second) ** rest
    assert plan("mcnemar", 0.3, samples=14, discordant=0.5).power == pytest.approx(expected)


def significant(a: int, b: int, c: int, d: int) -> bool:
    """The chi-squared test with the factor (N - 1) / N, at 5 %."""
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    return margins > 0 and (a + b + c + d - 1) * (a * d - b * c) ** 2 / margins > chi2.isf(0.05, 1)


def test_a_published_size():
    """Cohen 1992: 34 pairs see a medium difference of 0.5."""
    assert plan("paired", 0.5).samples == 34


@pytest.mark.parametrize(
    ("first", "second", "ratio", "baseline"), [(32, 32, 3.0, 0.5), (66, 66, 3.0, 0.5), (62, 26, 3.0, 0.2)]
)
def test_odds_ratio_is_near_the_sum_over_all_tables(first, second, ratio, baseline):
    odds = ratio * baseline / (1 - baseline)
    likely = binom.pmf(range(first + 1), first, odds / (1 + odds)), binom.pmf(range(second + 1), second, baseline)
    found = sum(
        likely[0][a] * likely[1][c]
        for a, c in product(range(first + 1), range(second + 1))
        if likely[0][a] * likely[1][c] > 1e-6 and significant(a, first - a, c, second - c)
    )
    total = first + second
    expected = plan("odds-ratio", ratio, samples=total, baseline=baseline, exposed=first / total).power
    assert expected == pytest.approx(found, abs=0.04)  # with fixed sizes the sum goes up and down by this much


def test_spearman_for_certain_and_for_nothing():
    assert plan("spearman", 0.99, samples=30).power > 0.999
    assert plan("spearman", 1e-6, samples=30).power == pytest.approx(0.025, abs=0.005)  # one tail


@pytest.mark.parametrize("test", POWER)
def test_the_samples_found_are_the_fewest(test):
    settings = SETTINGS.get(test, {})
    found = plan(test, EFFECTS[test], **settings)
    assert found.power >= 0.8
    assert plan(test, EFFECTS[test], samples=found.samples // 2, **settings).power < 0.7
    assert all(plan(test, EFFECTS[test], samples=found.samples + more, **settings).power >= 0.8 for more in range(10))
    many = plan(test, EFFECTS[test], comparisons=6, **settings)
    assert many.samples > found.samples
    assert plan(test, EFFECTS[test], samples=many.samples, level=0.05 / 6, **settings).power == many.power


@pytest.mark.parametrize(
    ("test", "effect", "options", "message"),
    [
        ("anova", 0.1, {}, "unknown test 'anova'; valid: share, mcnemar, paired, odds-ratio, spearman"),
        ("mcnemar", 0.1, {}, "test 'mcnemar' needs 'discordant'"),
        ("paired", 0.1, {"null": 0.5}, "test 'paired' does not depend on 'null'; it depends on the effect alone"),
        ("share", 0.1, {"null": 0.5, "exposed": 0.5}, "test 'share' does not depend on 'exposed'"),
        ("paired", 0.0, {}, "effect 0 is no effect"),
        ("odds-ratio", 1.0, {"baseline": 0.5, "exposed": 0.5}, "effect 1 is no effect"),
        ("paired", float("nan"), {}, "effect is nan; expected a number between -10 and 10"),
        ("share", 0.6, {"null": 0.5}, "null [+] effect is 1.1; expected a number between 0 and 1"),
        ("mcnemar", 0.4, {"discordant": 0.3}, "effect 0.4 is more than the discordant share 0.3"),
        ("paired", 0.0001, {}, "more than 1,000,000 samples are needed"),
        ("paired", 0.1, {"power": 1.0}, "power is 1; expected a number between 0 and 1, both excluded"),
        ("paired", 0.1, {"samples": 0}, "samples and comparisons must be 1 or more"),
    ],
)
def test_what_cannot_be_planned(test, effect, options, message):
    with pytest.raises(InputError, match=message):
        plan(test, effect, **options)


def test_extreme_effects_stay_finite():
    assert plan("paired", 9.0).samples < 5
    assert plan("odds-ratio", 999.0, baseline=0.999, exposed=0.7).power == pytest.approx(0.8, abs=0.01)
