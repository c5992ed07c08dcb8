"""The words of a comparison, and figures as people read them: with a true minus, and their interval in brackets."""

from __future__ import annotations

import math

from wherelook.analysis.results import Question
from wherelook.explanation import figures
from wherelook.explanation.figures import NOTHING
from wherelook.stats import Estimate

QUESTIONS: dict[Question, str] = {
    "reliance": "Do the models rely on the image?",
    "focus": "Where do they look?",
    "evidence": "Does looking at the evidence matter?",
}
CORRECTIONS = {"holm": "Holm's correction", "benjamini-hochberg": "Benjamini and Hochberg's correction"}
"""For many tests, by the name of the option."""

SIGNIFICANT = 0.05
"""p-value below which a finding counts, after correction."""

DASH = NOTHING
"""Of ranges, and where there is no figure."""


def percent(estimate: Estimate | None) -> str:
    """A share of 1 as "47 % (40–55)"; a narrow interval brings more digits."""
    if estimate is None:
        return DASH
    return f"{figures.percent(estimate.value, _percent_digits(estimate))} ({percent_interval(estimate)})"


def share(value: float) -> str:
    """A share of 1 in percent."""
    return figures.percent(value)


def percent_value(estimate: Estimate) -> str:
    """A share of 1, in percent without the sign."""
    return figures.number(100 * estimate.value, _percent_digits(estimate))


def percent_interval(estimate: Estimate) -> str:
    """The interval of a share of 1, in percent without the sign."""
    return _range(100 * estimate.low, 100 * estimate.high, _percent_digits(estimate))


def figure(estimate: Estimate | None) -> str:
    """A figure as "0.47 (0.40–0.55)"; a narrow interval brings more digits."""
    return DASH if estimate is None else f"{value(estimate)} ({interval(estimate)})"


def value(estimate: Estimate) -> str:
    """The figure without its interval."""
    return number(estimate.value, _digits(estimate))


def interval(estimate: Estimate) -> str:
    """The interval, readable with negative ends too."""
    return _range(estimate.low, estimate.high, _digits(estimate))


def number(value: float, digits: int = 2) -> str:
    """Two digits after the point, or more if asked for."""
    return figures.number(value, digits)


def ratio(value: float) -> str:
    """A ratio: two digits that count, or all before the point."""
    if not math.isfinite(value):
        return figures.number(value)
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def ratio_interval(estimate: Estimate) -> str:
    """The interval of a ratio."""
    return f"{ratio(estimate.low)}{DASH}{ratio(estimate.high)}"


def p_value(value: float, *, floor: bool = False) -> str:
    """A p-value with its relation: "= 0.012", "< 0.001".

    Args:
        value: the p-value.
        floor: whether the test can give no smaller one, so that the true one may lie below: "≤ 0.012".
    """
    if value < 0.001:
        return "<\N{NO-BREAK SPACE}0.001"
    return f"{'≤' if floor else '='}\N{NO-BREAK SPACE}{value:.3f}"


def _digits(estimate: Estimate) -> int:
    return figures.digits_for(estimate.high - estimate.low)


def _percent_digits(estimate: Estimate) -> int:
    return figures.digits_for(100 * (estimate.high - estimate.low), least=0, most=4)


def _range(low: float, high: float, digits: int) -> str:
    return f"{number(low, digits)}{' to ' if low < 0 else DASH}{number(high, digits)}"
