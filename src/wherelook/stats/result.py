"""What a test and an estimate say: the figure, its interval, how many items it rests on, and what it assumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        name: of the figure, such as "Cohen's d_z".
        value: the figure.
        low, high: its interval; infinite where the data do not bound it.
        method: how the interval was made.
        level: the share of such intervals that holds the true value, in (0, 1).
    """

    name: str
    value: float
    low: float
    high: float
    method: str
    level: float = 0.95

    @classmethod
    def of(
        cls, name: str, value: float, interval: tuple[float, float], method: str, *, level: float = 0.95
    ) -> Estimate:
        """The estimate with `interval`, (low, high)."""
        return cls(name=name, value=value, low=interval[0], high=interval[1], method=method, level=level)

    def within(self, low: float, high: float) -> Estimate:
        """The same with its interval cut to what the figure can be.

        With few values, Student's interval goes beyond that; cut, it holds the true value as often.
        """
        return replace(self, low=max(self.low, low), high=min(self.high, high))

    def __str__(self) -> str:
        interval = f"{self.level:.0%} interval {self.low:.3g} to {self.high:.3g}"
        return f"{self.name} {self.value:.3g} ({interval}, {self.method})"


@dataclass(frozen=True)
class Test:
    """The outcome of a test of significance, with all that a reader needs to judge it.

    Attributes:
        name: of the test.
        statistic: what was compared with its distribution under the null hypothesis.
        p: two-sided, in [0, 1], not corrected for other tests.
        n: items (pairs of values count once).
        effect: what was tested, in the unit of the values.
        assumptions: in one sentence.
        clusters: groups of items that may depend on each other; None where every item stands alone.
        standardized: the effect without a unit; None where there is none.
        least_p: of a test by random draws, the smallest p that these can give: the true one may be smaller.
    """

    __test__: ClassVar[bool] = False  # pytest collects classes of this name

    name: str
    statistic: float
    p: float
    n: int
    effect: Estimate
    assumptions: str
    clusters: int | None = None
    standardized: Estimate | None = None
    least_p: float = 0.0

    @property
    def at_floor(self) -> bool:
        """Whether p is as small as the draws allow: more draws might give less."""
        return 0 < self.p <= self.least_p * (1 + 1e-9)

    def __str__(self) -> str:
        size = f"n = {self.n}" if self.clusters is None else f"n = {self.n}, clusters = {self.clusters}"
        relation = "<=" if self.at_floor else "="
        p = f"p {relation} {self.p:.3g}" if self.p >= 0.001 else "p < 0.001"
        estimates = "; ".join(str(estimate) for estimate in (self.effect, self.standardized) if estimate is not None)
        return f"{self.name}: {p}, {size}; {estimates}. {self.assumptions}"
