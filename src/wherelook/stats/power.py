"""How many samples does a test need to see an effect, and how likely does it see one with those at hand?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, nct, norm
from scipy.stats import t as student

from wherelook.errors import InputError, unknown_name

MOST = 10**6
"""Samples; an effect that needs more is as good as none."""

AHEAD = 10
"""Power of an exact test goes up and down with n; it must hold for so many larger n too."""


@dataclass(frozen=True)
class Plan:
    """A test of given size and the power it has.

    Attributes:
        test: its name in `POWER`.
        effect: the effect to see, in the unit of the test.
        samples: items, or pairs of values.
        power: probability that the test is significant if the effect is there, in (0, 1).
        level: of significance, before the correction for several tests.
        comparisons: tests that Holm's correction is for.
        settings: what else the power depends on.
    """

    test: str
    effect: float
    samples: int
    power: float
    level: float
    comparisons: int
    settings: Mapping[str, float]


@dataclass(frozen=True)
class Setting:
    """What the power of a test depends on beside effect and size, and the open interval it must lie in."""

    meaning: str
    low: float
    high: float


@dataclass(frozen=True)
class PowerAnalysis:
    """How the power of one test is found.

    Attributes:
        power: of n samples, effect, level and the settings.
        effect: what the effect is.
        low, high: open interval of the effect.
        nothing: the effect that is none.
        settings: by name, what else is needed.
    """

    power: Callable[..., float]
    effect: str
    low: float
    high: float
    nothing: float
    settings: Mapping[str, Setting]


def share_power(n: int, effect: float, level: float, *, null: float) -> float:
    """Exact power of the binomial test that a share is `null`, where it is null + effect."""
    low, high = _rejected(n, null, level)
    share = null + effect
    return float(binom.cdf(low, n, share) + binom.sf(high - 1, n, share))


def mcnemar_power(n: int, effect: float, level: float, *, discordant: float) -> float:
    """Power of McNemar's test, summed over the number of discordant pairs (Duffy 1984)."""
    spread = 8 * math.sqrt(n * discordant * (1 - discordant)) + 8
    pairs = np.arange(max(1, int(n * discordant - spread)), min(n, int(n * discordant + spread)) + 1)
    first = (discordant + effect) / 2 / discordant
    # The largest count of one side whose score, (pairs - 2 count) / sqrt(pairs), is above the quantile.
    low = np.ceil((pairs - norm.isf(level / 2) * np.sqrt(pairs)) / 2) - 1
    seen = binom.cdf(low, pairs, first) + binom.sf(pairs - low - 1, pairs, first)
    return float(binom.pmf(pairs, n, discordant) @ seen)


def paired_power(n: int, effect: float, level: float) -> float:
    """Power of the paired t-test (noncentral t), which the paired permutation test shares but for very small n."""
    if n < 2:
        return 0.0
    critical, shift = float(student.isf(level / 2, n - 1)), abs(effect) * math.sqrt(n)
    other_tail = float(nct.cdf(-critical, n - 1, shift))  # SciPy gives up where it is next to nothing
    return float(nct.sf(critical, n - 1, shift)) + (other_tail if other_tail > 0 else 0.0)


def odds_ratio_power(n: int, effect: float, level: float, *, baseline: float, exposed: float) -> float:
    """Power of the chi-squared test for an odds ratio of `effect`: normal approximation of two shares (Fleiss 1981)."""
    odds = effect * baseline / (1 - baseline)
    with_condition, without = odds / (1 + odds), baseline
    first, ratio = n * exposed, (1 - exposed) / exposed
    gap = abs(with_condition - without)
    mean = (with_condition + ratio * without) / (1 + ratio)
    under_null = math.sqrt((ratio + 1) * mean * (1 - mean))
    deviation = math.sqrt(ratio * with_condition * (1 - with_condition) + without * (1 - without))
    return float(norm.cdf((math.sqrt(first * ratio) * gap - norm.isf(level / 2) * under_null) / deviation))


def spearman_power(n: int, effect: float, level: float) -> float:
    """Power of the test of Spearman's rho.

    For normal values a sample's rho is on average closer to zero than the true one (Moran 1948), and its atanh a little
    farther away than that (Hotelling 1953). The variance of atanh(rho) is (1 + rho^2 / 2) / (n - 3) (Bonett and Wright
    2000).
    """
    if n < 5:
        return 0.0
    rho = abs(effect)
    critical = float(student.isf(level / 2, n - 2))
    least = critical / math.sqrt(n - 2 + critical * critical)
    error = math.sqrt((1 + rho * rho / 2) / (n - 3))
    correlation = 2 * math.sin(math.pi / 6 * rho)
    mean = 6 / (math.pi * (n + 1)) * (math.asin(correlation) + (n - 2) * math.asin(correlation / 2))
    center = math.atanh(mean) + mean / (2 * (n - 1))
    return float(norm.sf((math.atanh(least) - center) / error))


POWER: Mapping[str, PowerAnalysis] = {
    "share": PowerAnalysis(
        power=share_power, effect="share minus the null's share", low=-1, high=1, nothing=0,
        settings={"null": Setting("share under the null hypothesis", 0, 1)},
    ),
    "mcnemar": PowerAnalysis(
        power=mcnemar_power, effect="difference of two paired shares", low=-1, high=1, nothing=0,
        settings={"discordant": Setting("share of items where only one of the two is right", 0, 1)},
    ),
    "paired": PowerAnalysis(
        power=paired_power, effect="mean of paired differences in their standard deviations, d_z", low=-10, high=10,
        nothing=0, settings={},
    ),
    "odds-ratio": PowerAnalysis(
        power=odds_ratio_power, effect="odds ratio", low=0.001, high=1000, nothing=1,
        settings={
            "baseline": Setting("share with the outcome among items without the condition", 0, 1),
            "exposed": Setting("share of items with the condition", 0, 1),
        },
    ),
    "spearman": PowerAnalysis(power=spearman_power, effect="Spearman's rho", low=-1, high=1, nothing=0, settings={}),
}  # fmt: skip


def plan(
    test: str,
    effect: float,
    *,
    samples: int | None = None,
    power: float = 0.8,
    level: float = 0.05,
    comparisons: int = 1,
    **settings: float,
) -> Plan:
    """Samples from power, or power from samples, for a two-sided test.

    With several comparisons the level is divided by their number. That is the first and hardest step of Holm's
    correction: the power holds whatever the other tests show.

    Args:
        test: a name of `POWER`.
        effect: to see, in the unit of the test.
        samples: the power of so many is wanted; else the fewest samples that have `power`.
        power: wanted, in (0, 1).
        level: of significance, in (0, 1).
        comparisons: tests that are corrected together.
        settings: what else the test needs.

    Raises:
        InputError: a name or number that makes no sense.
    """
    if test not in POWER:
        raise unknown_name("test", test, list(POWER))
    analysis = POWER[test]
    _check(analysis, test, effect, samples, power, level, comparisons, settings)

    def reached(count: int) -> float:
        return analysis.power(count, effect, level / comparisons, **settings)

    size = samples if samples is not None else _fewest(reached, power)
    return Plan(
        test=test,
        effect=effect,
        samples=size,
        power=reached(size),
        level=level,
        comparisons=comparisons,
        settings=settings,
    )


def _fewest(reached: Callable[[int], float], power: float) -> int:
    """The fewest samples that have the power, and keep it for the next larger numbers."""
    high = 4
    while reached(high) < power:
        high *= 2
        if high > MOST:
            raise InputError(f"more than {MOST:,} samples are needed; expected a larger effect or less power")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle, high)
    while not all(reached(high + ahead) >= power for ahead in range(AHEAD)):
        high += 1
    return high


def _rejected(n: int, null: float, level: float) -> tuple[int, int]:
    """Counts up to the first and from the second on are significant in an exact two-sided binomial test.

    Counts no more likely than the observed one are as extreme (the rule of `scipy.stats.binomtest`).
    """
    counts = np.arange(n + 1)
    likely = binom.pmf(counts, n, null)
    order = np.argsort(likely, kind="stable")
    total = np.empty(n + 1)
    # Counts that are equally likely are extreme together.
    total[order] = np.cumsum(likely[order])[
        np.searchsorted(likely[order], likely[order] * (1 + 1e-7), side="right") - 1
    ]
    kept = np.flatnonzero(total > level)
    return int(kept[0]) - 1, int(kept[-1]) + 1


def _check(
    analysis: PowerAnalysis,
    test: str,
    effect: float,
    samples: int | None,
    power: float,
    level: float,
    comparisons: int,
    settings: Mapping[str, float],
) -> None:
    for name in settings:
        if name not in analysis.settings:
            raise InputError(f"test {test!r} does not depend on {name!r}; {_needs(analysis)}")
    for name, setting in analysis.settings.items():
        if name not in settings:
            raise InputError(f"test {test!r} needs {name!r}: {setting.meaning}")
        _check_between(name, settings[name], setting.low, setting.high)
    _check_between("effect", effect, analysis.low, analysis.high)
    if effect == analysis.nothing:
        raise InputError(f"effect {effect:g} is no effect; expected another {analysis.effect}")
    _check_between("power", power, 0, 1)
    _check_between("level", level, 0, 1)
    if comparisons < 1 or (samples is not None and not 1 <= samples <= MOST):
        raise InputError(f"samples and comparisons must be 1 or more, and samples at most {MOST:,}")
    if test == "share":
        _check_between("null + effect", settings["null"] + effect, 0, 1)
    if test == "mcnemar" and abs(effect) > settings["discordant"]:
        raise InputError(
            f"effect {effect:g} is more than the discordant share {settings['discordant']:g}; expected at most that"
        )


def _check_between(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise InputError(f"{name} is {value:g}; expected a number between {low:g} and {high:g}, both excluded")


def _needs(analysis: PowerAnalysis) -> str:
    return f"it depends on: {', '.join(analysis.settings)}" if analysis.settings else "it depends on the effect alone"
