"""Do the tests and intervals of `wherelook.stats` keep their word? Simulations with known truth.

    python benchmarks/simulations.py                         # the tables of docs/statistics.md, 6 minutes
    python benchmarks/simulations.py --simulations 200       # a glance

Three tables: how often each test is significant at 5 % where there is no effect, how often 95 % intervals hold the true
value, and how often an effect is found beside the power that was predicted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest, f, ncf, spearmanr

from wherelook import stats

Random = np.random.Generator
LEVEL = 0.05
RESAMPLES = 499


@dataclass(frozen=True)
class Case:
    """One line: a name, the data, and one simulation that says yes or no."""

    name: str
    data: str
    trial: Callable[[Random], bool]
    predicted: float | None = None


def by_cluster(rng: Random, clusters: int, each: int, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Normal values of variance 1, of which `share` is between clusters; and the clusters."""
    index = np.repeat(np.arange(clusters), each)
    return np.sqrt(share) * rng.normal(size=clusters)[index] + np.sqrt(1 - share) * rng.normal(size=len(index)), index


def uneven(rng: Random, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """The same with 1 to 6 items in a cluster."""
    index = np.repeat(np.arange(clusters), rng.integers(1, 7, clusters))
    return np.sqrt(0.5) * (rng.normal(size=clusters)[index] + rng.normal(size=len(index))), index


def significant(test: Callable[[], Any]) -> bool:
    """Whether p < 5 %; data that a test refuses, such as a table with an empty row, show nothing.

    For a single share and a rank correlation `wherelook` plans the power and leaves the test to SciPy.
    """
    try:
        found = test()
        return (found.p if isinstance(found, stats.Test) else found.pvalue) < LEVEL
    except ValueError:
        return False


def holds(make: Callable[[], stats.Estimate], truth: float) -> bool:
    """Whether the interval holds the truth; where there is nothing to estimate from, nothing is bounded."""
    try:
        estimate = make()
    except ValueError:
        return True
    return estimate.low <= truth <= estimate.high


# ---- no effect ----


def null_cases() -> list[Case]:
    cases = []
    for n in (20, 100):
        cases += [
            Case("McNemar's test", f"{n} items", lambda rng, n=n: significant(
                lambda: stats.mcnemar_test(*flags_paired(rng, n, 0.4, 0.0)))),
            Case("chi-squared test (N - 1)", f"{n} items", lambda rng, n=n: significant(
                lambda: stats.association_test(rng.random(n) < 0.5, rng.random(n) < 0.6))),
            Case("paired permutation test", f"{n} items, normal", lambda rng, n=n: significant(
                lambda: stats.paired_test(rng.normal(size=n), rng.normal(size=n), resamples=RESAMPLES))),
            Case("paired permutation test", f"{n} items, yes and no", lambda rng, n=n: significant(
                lambda: stats.paired_test(*flags_paired(rng, n, 0.4, 0.0), resamples=RESAMPLES))),
        ]  # fmt: skip
    for clusters in (10, 20, 50):
        cases += [
            Case("paired permutation test", f"{clusters} clusters of 5", lambda rng, c=clusters: significant(
                lambda: clustered_paired(rng, c))),
            Case("paired permutation test", f"{clusters} clusters of 1 to 6", lambda rng, c=clusters: significant(
                lambda: uneven_paired(rng, c))),
            Case("mixed model", f"{clusters} items, 4 models", lambda rng, c=clusters: mixed(rng, c, 4, 0.0)),
            Case("mixed model", f"{clusters} items, 2 x 2 models, one in four missing",
                 lambda rng, c=clusters: mixed_incomplete(rng, c)),
        ]  # fmt: skip
    for clusters in (20, 50):
        cases += [
            Case("log odds ratio with clusters", f"{clusters} clusters of 5", lambda rng, c=clusters: significant(
                lambda: clustered_association(rng, c, 0.0))),
        ]  # fmt: skip
    return cases


def flags_paired(rng: Random, n: int, discordant: float, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Two lists of yes and no that differ in a share of the items, by `effect` more often for the first."""
    kind = rng.random(n)
    first_only, second_only = kind < (discordant + effect) / 2, kind >= 1 - (discordant - effect) / 2
    both = (rng.random(n) < 0.7) & ~first_only & ~second_only
    return both | first_only, both | second_only


def clustered_paired(rng: Random, clusters: int, effect: float = 0.0) -> stats.Test:
    values, index = by_cluster(rng, clusters, 5)
    return stats.paired_test(values + effect, np.zeros_like(values), clusters=index.tolist(), resamples=RESAMPLES)


def uneven_paired(rng: Random, clusters: int) -> stats.Test:
    values, index = uneven(rng, clusters)
    return stats.paired_test(values, np.zeros_like(values), clusters=index.tolist(), resamples=RESAMPLES)


def clustered_association(rng: Random, clusters: int, effect: float) -> stats.Test:
    (condition, index), (noise, _) = by_cluster(rng, clusters, 5), by_cluster(rng, clusters, 5)
    return stats.association_test(condition > 0, noise + effect * (condition > 0) > -0.2, clusters=index.tolist())


def mixed_model(rng: Random, items: int, models: int, effect: float) -> stats.Test:
    """One model is `effect` above the others."""
    index = np.repeat(np.arange(items), models)
    model = np.tile(np.arange(models), items)
    values = rng.normal(size=items)[index] + rng.normal(size=len(index)) + effect * (model == models - 1)
    return stats.mixed_model(values, {"model": model.tolist()}, index.tolist())["model"]


def mixed(rng: Random, items: int, models: int, effect: float) -> bool:
    return mixed_model(rng, items, models, effect).p < LEVEL


def mixed_incomplete(rng: Random, items: int) -> bool:
    """Two factors with an effect of the other one, values missing at random."""
    index, cell = np.repeat(np.arange(items), 4), np.tile(np.arange(4), items)
    values = rng.normal(size=items)[index] + rng.normal(size=len(index)) + (cell // 2)
    kept = rng.random(len(index)) < 0.75
    factors = {"architecture": (cell // 2)[kept].tolist(), "scale": (cell % 2)[kept].tolist()}
    return stats.mixed_model(values[kept], factors, index[kept].tolist())["scale"].p < LEVEL


# ---- intervals ----


def interval_cases() -> list[Case]:
    cases = []
    for n in (20, 100):
        cases += [
            Case("share (Wilson)", f"{n} items, 0.8", lambda rng, n=n: holds(
                lambda: stats.share_interval(rng.random(n) < 0.8), 0.8)),
            Case("mean (t)", f"{n} items, normal", lambda rng, n=n: holds(
                lambda: stats.mean_interval(rng.normal(size=n)), 0)),
            Case("mean (t)", f"{n} items, uniform", lambda rng, n=n: holds(
                lambda: stats.mean_interval(rng.random(n)), 0.5)),
            Case("mean (t)", f"{n} items, exponential", lambda rng, n=n: holds(
                lambda: stats.mean_interval(rng.exponential(size=n)), 1)),
            Case("mean (percentile bootstrap)", f"{n} items, normal", lambda rng, n=n: percentile(rng, n)),
            Case("Cohen's d_z", f"{n} items, 0.5", lambda rng, n=n: holds(
                lambda: stats.cohens_dz(rng.normal(size=n) + 0.5), 0.5)),
            Case("difference of paired shares (score)", f"{n} items, 0.1", lambda rng, n=n: holds(
                lambda: stats.mcnemar_test(*flags_paired(rng, n, 0.4, 0.1)).effect, 0.1)),
            Case("odds ratio", f"{n} items, 2.7", lambda rng, n=n: holds(
                lambda: stats.odds_ratio(table(rng, n, 0.8, 0.6)), 8 / 3)),
            Case("Cohen's kappa", f"{n} items, 0.6", lambda rng, n=n: kappa(rng, n)),
            Case("area under the ROC curve", f"{n} items, 0.76", lambda rng, n=n: area(rng, n)),
            Case("Brier score", f"{n} items", lambda rng, n=n: brier(rng, n)),
        ]  # fmt: skip
    for clusters in (20, 50):
        cases += [
            Case("share (effective number)", f"{clusters} clusters of 1 to 6, 0.69", lambda rng, c=clusters:
                 clustered_share(rng, c)),
            Case("mean (t)", f"{clusters} clusters of 1 to 6", lambda rng, c=clusters: clustered_mean(rng, c)),
            Case("Cohen's d_z", f"{clusters} clusters of 1 to 6, 0.5", lambda rng, c=clusters: clustered_dz(rng, c)),
            Case("area under the ROC curve", f"{clusters} clusters of 5, 0.76", lambda rng, c=clusters:
                 clustered_area(rng, c)),
            Case("odds ratio, clusters", f"{clusters} clusters of 5, 1", lambda rng, c=clusters: holds(
                lambda: clustered_association(rng, c, 0.0).effect, 1)),
            Case("mixed model, difference", f"{clusters} items, 2 models, 0.5", lambda rng, c=clusters: holds(
                lambda: mixed_model(rng, c, 2, 0.5).effect, 0.5)),
        ]  # fmt: skip
    return cases


def percentile(rng: Random, n: int) -> bool:
    low, high = stats.bootstrap_interval(rng.normal(size=n), resamples=RESAMPLES)
    return low <= 0 <= high


def table(rng: Random, n: int, first: float, second: float) -> tuple[tuple[int, int], tuple[int, int]]:
    half = n // 2
    a, c = int(rng.binomial(half, first)), int(rng.binomial(half, second))
    return (a, half - a), (c, half - c)


def normal_pair(rng: Random, n: int, rank_correlation: float) -> tuple[np.ndarray, np.ndarray]:
    """Two normal values; Spearman's rho of a normal pair with correlation r is 6 / pi asin(r / 2)."""
    r = 2 * np.sin(np.pi / 6 * rank_correlation)
    first = rng.normal(size=n)
    return first, r * first + np.sqrt(1 - r * r) * rng.normal(size=n)


def kappa(rng: Random, n: int) -> bool:
    """One judge says yes to half of the items, the other repeats it or, in two of five cases, tosses a coin."""
    first = rng.random(n) < 0.5
    second = np.where(rng.random(n) < 0.4, rng.random(n) < 0.5, first)
    return holds(lambda: stats.cohens_kappa(first.tolist(), second.tolist()), 0.6)


def scores(noise: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Normal scores, one standard deviation higher where right: the area is Phi(1 / sqrt 2) = 0.7602."""
    return noise + right


def area(rng: Random, n: int) -> bool:
    right = rng.random(n) < 0.6
    values = scores(rng.normal(size=n), right)
    return holds(lambda: stats.roc_area(values, right), 0.76025)


def clustered_area(rng: Random, clusters: int) -> bool:
    noise, index = by_cluster(rng, clusters, 5)
    right = by_cluster(rng, clusters, 5)[0] > -0.25
    return holds(lambda: stats.roc_area(scores(noise, right), right, clusters=index.tolist()), 0.76025)


def brier(rng: Random, n: int) -> bool:
    """Scores that are the probability of being right, uniform: E p (1 - p) = 1 / 6."""
    values = rng.random(n)
    return holds(lambda: stats.calibration(values, rng.random(n) < values).brier, 1 / 6)


def clustered_share(rng: Random, clusters: int) -> bool:
    values, index = uneven(rng, clusters)
    return holds(lambda: stats.share_interval(values > -0.5, clusters=index.tolist()), 0.69146)


def clustered_mean(rng: Random, clusters: int) -> bool:
    values, index = uneven(rng, clusters)
    return holds(lambda: stats.mean_interval(values, clusters=index.tolist()), 0)


def clustered_dz(rng: Random, clusters: int) -> bool:
    values, index = uneven(rng, clusters)
    return holds(lambda: stats.cohens_dz(values + 0.5, clusters=index.tolist()), 0.5)


# ---- power ----


def power_cases() -> list[Case]:
    """An effect at the size that is planned for 80 %, and at half of it; and effects planted in clusters."""
    cases = []
    for test, effect, settings, trial in POWERED:
        full = stats.plan(test, effect, **settings)
        for size in (full, stats.plan(test, effect, samples=max(6, full.samples // 2), **settings)):
            find = planted(trial, size.samples)
            cases.append(Case(test, f"effect {effect:g}, {size.samples} items", find, size.power))
    for count in (20, 50):
        # Half of the variance is between clusters of 5: their means have variance 0.5 + 0.5 / 5.
        predicted = stats.plan("paired", 0.5 / 0.6**0.5, samples=count).power
        find = planted(lambda rng, n: clustered_paired(rng, n, 0.5), count)
        cases.append(Case("paired permutation test", f"effect 0.5, {count} clusters of 5", find, predicted))
        # One of four models is 0.5 higher: noncentrality 4 n (1 / 4) (3 / 4) 0.5^2, for a variance of 1 within items.
        degrees = 3, 3 * (count - 1)
        predicted = float(ncf.sf(f.isf(LEVEL, *degrees), *degrees, 0.1875 * count))
        find = planted(lambda rng, n: mixed_model(rng, n, 4, 0.5), count)
        cases.append(Case("mixed model", f"effect 0.5, {count} items, 4 models", find, predicted))
    return cases


def planted(test: Callable[[Random, int], Any], n: int) -> Callable[[Random], bool]:
    return lambda rng: significant(lambda: test(rng, n))


def exposed(rng: Random, n: int, ratio: float, baseline: float, share: float) -> stats.Test:
    condition = rng.random(n) < share
    odds = ratio * baseline / (1 - baseline)
    return stats.association_test(condition, rng.random(n) < np.where(condition, odds / (1 + odds), baseline))


POWERED: Sequence[tuple[str, float, dict[str, float], Callable[[Random, int], Any]]] = (
    ("share", 0.15, {"null": 0.5}, lambda rng, n: binomtest(int(rng.binomial(n, 0.65)), n, 0.5)),
    ("share", 0.05, {"null": 0.9}, lambda rng, n: binomtest(int(rng.binomial(n, 0.95)), n, 0.9)),
    ("mcnemar", 0.1, {"discordant": 0.3}, lambda rng, n: stats.mcnemar_test(*flags_paired(rng, n, 0.3, 0.1))),
    ("mcnemar", 0.3, {"discordant": 0.4}, lambda rng, n: stats.mcnemar_test(*flags_paired(rng, n, 0.4, 0.3))),
    ("paired", 0.3, {}, lambda rng, n: stats.paired_test(rng.normal(size=n) + 0.3, np.zeros(n), resamples=RESAMPLES)),
    ("paired", 0.8, {}, lambda rng, n: stats.paired_test(rng.normal(size=n) + 0.8, np.zeros(n), resamples=RESAMPLES)),
    ("odds-ratio", 3, {"baseline": 0.5, "exposed": 0.5}, lambda rng, n: exposed(rng, n, 3, 0.5, 0.5)),
    ("odds-ratio", 3, {"baseline": 0.2, "exposed": 0.7}, lambda rng, n: exposed(rng, n, 3, 0.2, 0.7)),
    ("spearman", 0.3, {}, lambda rng, n: spearmanr(*normal_pair(rng, n, 0.3))),
    ("spearman", 0.6, {}, lambda rng, n: spearmanr(*normal_pair(rng, n, 0.6))),
)


# ---- tables ----


def share(case: Case, simulations: int) -> float:
    """Share of the simulations that say yes; every one has a seed of its own."""
    line = list(f"{case.name}, {case.data}".encode())
    return float(np.mean([case.trial(np.random.default_rng([run, *line])) for run in range(simulations)]))


TABLES: Mapping[str, tuple[str, Callable[[], list[Case]]]] = {
    "null": ("| test | data | significant without an effect |\n| --- | --- | --- |", null_cases),
    "intervals": ("| 95 % interval | data | holds the truth |\n| --- | --- | --- |", interval_cases),
    "power": ("| test | data | power predicted | found |\n| --- | --- | --- | --- |", power_cases),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", choices=list(TABLES), action="append", help="one of them; repeatable")
    parser.add_argument("--line", default="", help="only lines that contain this")
    parser.add_argument("--simulations", type=int, default=2000)
    arguments = parser.parse_args()
    for name in arguments.table or TABLES:
        head, cases = TABLES[name]
        print(head)
        for case in (case for case in cases() if arguments.line in f"{case.name}, {case.data}"):
            cells = [case.name, case.data]
            if case.predicted is not None:
                cells.append(f"{case.predicted:.1%}")
            print(f"| {' | '.join([*cells, f'{share(case, arguments.simulations):.1%}'])} |", flush=True)
        print()


if __name__ == "__main__":
    main()
